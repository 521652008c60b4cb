"""A PostgreSQL server of our own: made in a temporary folder, on a free port of the loopback, and stopped.

It refuses to run as root, so root starts it as the user ``postgres`` that its package makes. It asks for a
password like a real one.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Self

import psycopg
from foreign import PATIENCE, missing
from sqlalchemy import URL

from twoway.demo.ground import PORTS

INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian has each version's programs, off the PATH."""


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs, of the newest version."""
    versions = sorted(INSTALLED.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        missing("postgresql")
    return found


class PostgreSQL:
    """A running cluster, for the time of a ``with`` block.

    Args:
        durable: whether it waits for the disk. Tests that kill clients and never the machine need not;
            measurements do.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._durable = durable
        self._password = secrets.token_hex(16)
        self._numbers = count(1)

    def __enter__(self) -> Self:
        initdb, postgres = program("initdb"), program("postgres")
        # Below pytest's own folders another user has no way in.
        self._folder = Path(tempfile.mkdtemp(prefix="twoway-postgresql-"))
        user = None
        if os.getuid() == 0:
            user = "postgres"
            os.chown(self._folder, pwd.getpwnam(user).pw_uid, -1)
        given = self._folder / "password"
        given.write_text(self._password)
        given.chmod(0o644)  # the folder is closed to others
        data = self._folder / "data"
        self._port = secrets.choice(PORTS)  # none that a client could be given meanwhile
        made = {"-D": str(data), "-U": "tests", "-A": "scram-sha-256", "-E": "UTF8", "--pwfile": str(given)}
        subprocess.run(
            [initdb, "--no-sync", "--locale=C", *(word for pair in made.items() for word in pair)],
            cwd=self._folder,
            user=user,
            check=True,
            capture_output=True,
            timeout=60,
        )
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "fsync": "on" if self._durable else "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [postgres, "-D", str(data), *options],
                cwd=self._folder,
                user=user,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait()
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._do("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    said = (self._folder / "log").read_text()
                    self.__exit__()
                    raise AssertionError(said) from None
                time.sleep(0.05)
            else:
                return

    def _do(self, statement: str) -> None:
        address = self.address("postgres").set(drivername="postgresql")
        with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(statement)

    def address(self, database: str) -> URL:
        """The URL of a database of this server."""
        return URL.create("postgresql", "tests", self._password, "127.0.0.1", self._port, database)

    def new_database(self) -> URL:
        """Make an empty database."""
        name = f"ac_{next(self._numbers)}"
        self._do(f"CREATE DATABASE {name}")
        return self.address(name)

    def disconnect_everybody(self) -> None:
        """End all other connections, as a server does that is started anew."""
        self._do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'ac\\_%'")

    def __exit__(self, *_: object) -> None:
        if self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)  # fast: clients are disconnected
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(PATIENCE)
        if self._server.poll() is None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(PATIENCE)
        shutil.rmtree(self._folder)
