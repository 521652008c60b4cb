"""The control socket: how a command on the same machine speaks with the AC that runs there.

A Unix socket beside the configuration, for its owner alone (0600). A signal could ask for a reload as well,
and does; but it carries no answer, and who changes policies wants to read whether they were taken. One line
goes each way: the command, then JSON with either ``done`` or ``refused`` and a sentence. It must never take
anything but the commands that are known, and nobody but the file system decides who may ask.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from twoway.ac.operators import user_at
from twoway.errors import ConfigurationError, NetworkError, TwowayError

Command = Callable[[str], Awaitable[str]]
"""Gets the user who asks, does what was asked and says in a sentence what was done; raises a TwowayError if
it was refused."""

_LINE_LIMIT_BYTES = 256
"""A command is a word."""
_PATIENCE = 60.0
"""Seconds for an answer: reading certificates, policies and ledgers takes a few at most."""
_MODE = 0o600


@asynccontextmanager
async def control_socket(path: Path, commands: Mapping[str, Command]) -> AsyncIterator[None]:
    """Listen at ``path`` as long as the context lasts.

    Raises:
        ConfigurationError: another AC listens there, or the path cannot be used.
    """
    sock = _bound(path)
    server = await asyncio.start_unix_server(
        lambda reader, writer: _serve(reader, writer, commands), sock=sock, limit=_LINE_LIMIT_BYTES
    )
    try:
        yield
    finally:
        server.close()
        _remove(path)


def ask(path: Path, command: str) -> str:
    """Send a command to the AC that listens at ``path`` and return what it did.

    Raises:
        NetworkError: no AC listens there, or it did not answer.
        ConfigurationError: it refused; the sentence is its own.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_PATIENCE)
        try:
            sock.connect(os.fspath(path))
            sock.sendall(command.encode() + b"\n")
            with sock.makefile("rb") as file:
                answer = json.loads(file.readline())
        except (OSError, ValueError):
            raise NetworkError(
                "no AC answers at this control socket",
                where=str(path),
                remedy="start the AC, or check control",
            ) from None
    if "refused" in answer:
        raise ConfigurationError(str(answer["refused"]))
    return str(answer["done"])


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commands: Mapping[str, Command]
) -> None:
    with suppress(ConnectionError):
        try:
            name = (await reader.readline()).decode("ascii", "replace").strip()
            answer = await _answer(commands, name, user_at(writer.get_extra_info("socket")))
        except ValueError:
            answer = {"refused": "the command is too long"}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
    writer.close()


async def _answer(commands: Mapping[str, Command], name: str, operator: str) -> dict[str, str]:
    command = commands.get(name)
    if command is None:
        return {"refused": f"the AC knows no command of this name; known: {', '.join(commands)}"}
    try:
        return {"done": await command(operator)}
    except TwowayError as error:
        return {"refused": str(error)}


def _bound(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.bind(os.fspath(path))
        path.chmod(_MODE)  # before anybody can connect: nothing listens yet
    except OSError as error:
        sock.close()
        raise ConfigurationError(
            f"the control socket cannot be opened ({error.strerror or error})",
            where=str(path),
            remedy="name a file in a folder that exists and may be written, with a path of at most 100 bytes",
        ) from None
    except ConfigurationError:
        sock.close()
        raise
    return sock


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _remove_stale(path: Path) -> None:
    """Remove what an AC left behind that was killed; refuse to take the place of one that runs."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            _remove(path)
            return
    raise ConfigurationError(
        "another AC listens at this control socket", where=str(path), remedy="give each its own in control"
    )
