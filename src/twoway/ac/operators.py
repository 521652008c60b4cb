"""Who operates the AC, as the operating system says it: the user of a process.

It owns the names that the audit knows operators by. A command works as the user who typed it; who asks at the
control socket is named by the kernel, not by what they say. It must never take a name from the environment,
which anybody can set.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct

_CREDENTIALS = struct.Struct("3i")
"""Linux, ``struct ucred``: process, user, group (unix(7), ``SO_PEERCRED``)."""


def this_user() -> str:
    """Return the user whom this process acts for."""
    return _name(os.geteuid())


def user_at(peer: socket.socket) -> str:
    """Return the user who opened the other end of a connected Unix socket."""
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _process, user, _group = _CREDENTIALS.unpack(credentials)
    return _name(user)


def _name(user: int) -> str:
    """Return a user's name; the number of one that has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
