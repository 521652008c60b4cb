"""Every error that leaves the package, grouped by who is at fault.

    TwowayError
    ├── ConfigurationError   what the operator wrote: a file, a key, a port     (exit status 2)
    ├── CallerError          what the calling program did with our API         (exit status 2)
    ├── NetworkError         nobody answered, or the socket failed             (exit status 1)
    ├── StorageError         a database or a file could not be read or written (exit status 1)
    ├── PeerError            the other side broke the protocol                 (exit status 1)
    └── RefusedError         a policy or the peer said no                      (exit status 3)

An error prints as one sentence for a person: what is wrong, where, and what to do. No secret may
ever be put into one: they are logged and shown.
"""

from __future__ import annotations

from typing import ClassVar


class TwowayError(Exception):
    """The root. ``str()`` of it is one plain sentence for a person.

    Args:
        what: what is wrong, without a final full stop.
        where: the file, key, address or identity that it concerns.
        remedy: what the reader can do about it, an imperative clause.
    """

    exit_status: ClassVar[int] = 1
    """The status that a command ends with when this error reaches it."""

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.what}" if self.where else self.what
        return f"{sentence}; {self.remedy}" if self.remedy else sentence


class ConfigurationError(TwowayError):
    """A file, an option or a value that the operator gave cannot be used."""

    exit_status = 2


class CallerError(TwowayError):
    """The calling program used the API in a way that its contract excludes."""

    exit_status = 2


class NetworkError(TwowayError):
    """Nobody answered in time, or the operating system refused the socket."""


class StorageError(TwowayError):
    """A database or file could not be read or written."""


class PeerError(TwowayError):
    """The peer broke the rules of the protocol, or could not be authenticated."""


class RefusedError(TwowayError):
    """A policy, a publisher or the AC said no. Asking again the same way will not help."""

    exit_status = 3
