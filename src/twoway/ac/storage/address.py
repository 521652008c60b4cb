"""Where the AC's database is, as the operator writes it: a file, or a server by its URL."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from twoway.errors import ConfigurationError

DatabaseAddress = Path | URL
"""A SQLite file, or a PostgreSQL server. A URL does not show its password when it is printed."""

_SCHEME = "postgresql"


def parse_address(text: str) -> DatabaseAddress:
    """Read ``ac.sqlite`` as a path and ``postgresql://user@host/name`` as a URL.

    The password may stand in the URL. It is better kept where libpq finds it by itself, in ``~/.pgpass``.

    Raises:
        ConfigurationError: a URL of another kind, or one that cannot be read. It is not repeated in the
            error: it may hold a password.
    """
    if "://" not in text:
        return Path(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername != _SCHEME or not url.database:
        raise ConfigurationError(
            "this is not the URL of a database that is known here",
            remedy="write a path for SQLite, or postgresql://user@host/name",
        )
    return url


def shown(address: DatabaseAddress) -> str:
    """Return ``address`` for an error message, without its password."""
    return address.render_as_string(hide_password=True) if isinstance(address, URL) else str(address)
