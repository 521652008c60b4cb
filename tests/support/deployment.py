"""A whole deployment on loopback for tests: the real CA, AC and publishers, each as a task of this loop.

    async with Deployment(tmp_path) as deployment:
        await deployment.start_ac()
        uri = await deployment.start_publisher("meter")         # "coaps://127.0.0.1:PORT"
        identity = deployment.identity("reader")                 # a subscriber of the same region
        await deployment.stop("meter"); await deployment.start_publisher("meter")   # on the same port

    keyed = await deployment.start_keyed_publisher()          # one that takes symmetric keys of tickets
    await deployment.records(lambda records: records.revoke_by_holder(...))   # at the AC, as a command does

Publishers replay a series that counts 0, 1, 2, ... so that whoever stores it can see gaps and repetitions.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

from twoway import ac, publisher
from twoway.clock import SystemClock
from twoway.identity import identity_uri
from twoway.pki import CertificateAuthority, KeyKind, Role, StoredIdentity
from twoway.subscriber import ACReference, KeyedPublisher
from twoway.trace import TraceEvent

POLICIES = """
@id("same-region")
permit (principal, action == Twoway::Action::"GET", resource)
when { principal.region == resource.publisher.region };
"""

NORTH = {"organisation": "utility", "region": "north"}
KEY_HEX = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
PATIENCE = 20.0

T = TypeVar("T")


class Deployment:
    """Files in a folder, and what runs from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = CertificateAuthority.init(folder / "ca", name="Test", now=datetime.now(UTC))
        self.events: list[TraceEvent] = []
        self.ports: dict[str, int] = {"ac": 0}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.issue("ac", Role.AC, hosts=["127.0.0.1"])
        self.issue("meter", Role.PUBLISHER, hosts=["127.0.0.1", "localhost"], attributes=NORTH)
        self.issue("water", Role.PUBLISHER, hosts=["127.0.0.1"], attributes=NORTH, key=KeyKind("rsa-2048"))
        self.issue("reader", Role.SUBSCRIBER, attributes=NORTH)
        self.issue("distant", Role.SUBSCRIBER, attributes={"organisation": "utility", "region": "south"})
        self.issue("sink", Role.SINK, attributes=NORTH)
        (folder / "policies").mkdir()
        (folder / "policies" / "region.cedar").write_text(POLICIES)
        (folder / "count.csv").write_text("time,count\n" + "".join(f"{n},{n}\n" for n in range(5000)))
        (folder / "psk.hex").write_text(KEY_HEX)
        (folder / "psk.hex").chmod(0o600)

    def issue(self, name: str, role: Role, **options: object) -> Path:
        """Issue an identity into ``identities/NAME``."""
        out = self.folder / "identities" / name
        return self.ca.issue(name, role, now=datetime.now(UTC), out=out, **options)

    def identity(self, name: str) -> StoredIdentity:
        """Load an identity."""
        return StoredIdentity.load(self.folder / "identities" / name)

    @property
    def ac_reference(self) -> ACReference:
        """The running AC, as a subscriber is configured with it."""
        return ACReference(self.token_uri, identity_uri("ac"))

    @property
    def token_uri(self) -> str:
        """The token endpoint of the running AC."""
        return f"coaps://127.0.0.1:{self.ports['ac'] or 9}/token"

    @property
    def ac_toml(self) -> Path:
        """The configuration of the AC."""
        return self.folder / "ac.toml"

    def write_ac_toml(self, publishers: tuple[str, ...] = ("meter", "water")) -> ac.ACConfig:
        """Write the configuration of the AC; "host" is a publisher of which there is no certificate."""
        sections = "".join(
            f'[[publisher]]\nidentity = "{identity_uri(name)}"\n'
            f'resources = [{{ path = "/count" }}, {{ path = "/other" }}]\n' + self._known_of(name)
            for name in publishers
        )
        self.ac_toml.write_text(
            f'identity = "identities/ac"\nlisten = "127.0.0.1:{self.ports["ac"]}"\ndatabase = "ac.sqlite"\n'
            'sealing_key = "sealing.key"\n'
            f'policies = "policies"\nledgers = ["ca/issued.jsonl"]\n{sections}'
        )
        return ac.load_config(self.ac_toml)

    async def start_ac(
        self, *, lifetime: int = 600, publishers: tuple[str, ...] = ("meter", "water")
    ) -> None:
        """Start the AC; a lifetime under the file's minimum is for tests of expiry."""
        config = self.write_ac_toml(publishers).model_copy(update={"ticket_lifetime": lifetime})
        await self._start("ac", lambda ready: ac.serve(config, ready=ready, trace=self.events.append))

    async def records(self, change: Callable[[ac.TicketRecords], Awaitable[T]]) -> T:
        """Change tickets beside the running AC, as another replica or a command does."""
        database = ac.Database.existing(self.folder / "ac.sqlite")
        try:
            return await change(ac.TicketRecords(database, ac.AuditLog(database)))
        finally:
            database.close()

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)

    def share_secret(self, name: str) -> None:
        """Let the AC, of which the configuration is written, and a publisher share a secret."""
        config = ac.load_config(self.ac_toml)
        ac.Database(config.database).close()
        file = self.folder / f"{name}.secret"
        clock = SystemClock()
        ac.add_secret(config, identity_uri(name), file, operator="test", clock=clock, entropy=os.urandom)

    def pin(self, name: str) -> None:
        """Let the AC know the certificate that a publisher has now, whatever is issued later."""
        (self.folder / "pinned").mkdir(exist_ok=True)
        shutil.copy(self.folder / "identities" / name / "cert.pem", self.folder / "pinned" / f"{name}.pem")

    def _known_of(self, name: str) -> str:
        if name == "host":
            return 'organisation = "utility"\nregion = "north"\n'
        pinned = self.folder / "pinned" / f"{name}.pem"
        return f'certificate = "pinned/{name}.pem"\n' if pinned.exists() else ""

    def publisher_toml(
        self,
        name: str,
        *,
        interval: float = 0.1,
        token_uri: str | None = None,
        trusted_ac: str = "ac",
        follow: bool = True,
        poll_interval: float = 60.0,
    ) -> Path:
        """Write the configuration of a publisher; "host" is the one that has only a pre-shared key."""
        if name == "host":
            head = (
                f'name = "{identity_uri(name)}"\ndefault_subscribers = ["psk:sink"]\n'
                'psk = [{ identity = "sink", key_file = "psk.hex" }]\n'
            )
            authority = ""
        else:
            head = f'identity = "identities/{name}"\ndefault_subscribers = ["{identity_uri("sink")}"]\n'
            certificate = f"identities/{trusted_ac}/cert.pem"
            authority = (
                f'[ac]\nuri = "{token_uri or self.token_uri}"\ncertificate = "{certificate}"\n'
                f"poll_interval = {poll_interval}\nfollow = {str(follow).lower()}\n"
            )
        return self._write_publisher_toml(name, head, authority, interval)

    def _write_publisher_toml(self, name: str, head: str, authority: str, interval: float) -> Path:
        port = self.ports.setdefault(name, 0)
        resources = "".join(
            f'[[resource]]\npath = "/{path}"\nsource = "csv"\nfile = "count.csv"\nname = "{path}"\n'
            f"interval = {interval}\n"
            for path in ("count", "other")
        )
        path = self.folder / f"{name}.toml"
        path.write_text(f'{head}listen = "127.0.0.1:{port}"\n{authority}{resources}')
        return path

    async def start_publisher(self, name: str, **options: object) -> str:
        """Start a publisher, on the port that it had before if it had one, and return its URI.

        The options are those of :meth:`publisher_toml`.
        """
        return await self._serve_publisher(name, self.publisher_toml(name, **options))

    async def start_keyed_publisher(
        self,
        name: str = "host",
        *,
        interval: float = 0.1,
        token_uri: str | None = None,
        follow: bool = True,
        poll_interval: float = 60.0,
        more: str = "",
    ) -> KeyedPublisher:
        """Start a publisher that takes symmetric keys of tickets: "host" has nothing else; any other has its
        certificate beside; ``more`` are further lines of [ac]."""
        shared = (
            f'[ac]\nuri = "{token_uri or self.token_uri}"\nshared_secret_file = "{name}.secret"\n'
            f"follow = {str(follow).lower()}\npoll_interval = {poll_interval}\n{more}\n"
        )
        if name == "host":
            head = f'name = "{identity_uri(name)}"\n'
            authority = f'{shared}identity = "{identity_uri("ac")}"\n'
        else:
            head = f'identity = "identities/{name}"\n'
            authority = f'{shared}certificate = "identities/ac/cert.pem"\n'
        plain = '[plain]\nlisten = "127.0.0.1:0"\n'
        path = self._write_publisher_toml(name, head, authority + plain, interval)
        uri = await self._serve_publisher(name, path)
        port = next(event.data["port"] for event in reversed(self.events) if event.name == "plain port open")
        return KeyedPublisher(identity_uri(name), uri, f"coap://127.0.0.1:{port}/authz-info")

    async def _serve_publisher(self, name: str, path: Path) -> str:
        config = publisher.load_config(path)
        return await self._start(
            name, lambda ready: publisher.serve(config, ready=ready, trace=self.events.append)
        )

    def told(self, name: str) -> list[dict[str, object]]:
        """What the traces of all parties said under a name."""
        return [dict(event.data) for event in self.events if event.name == name]

    async def stop(self, name: str) -> None:
        """Stop what was started under ``name``, in an orderly way."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), f"{name} did not end cleanly: {task}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for name in list(self._tasks):
            await self.stop(name)

    async def _start(self, name: str, serve: Callable[[Callable[[str], None]], Awaitable[None]]) -> str:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(serve(ready.set_result))
        await asyncio.wait([task, ready], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        uri = await ready
        self.ports[name] = int(uri.rpartition(":")[2])
        self._tasks[name] = task
        return uri


async def until(condition: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Wait until ``condition`` holds."""
    async with asyncio.timeout(patience):
        while not condition():  # conditions of others, which have no event
            await asyncio.sleep(0.02)
