"""The picture, kept current: files when the operator says so, the database whenever it changes.

It owns how a picture comes about and when another takes its place. A picture is replaced as a whole, after
all of it could be read: what cannot be taken leaves the one before in force. It must never widen rights by a
failure, and never end an association.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from twoway.ac.audit import AuditLog
from twoway.ac.config import ACConfig
from twoway.ac.directory import Directory
from twoway.ac.grants import read_grants
from twoway.ac.picture import Picture
from twoway.ac.registry import Registry
from twoway.ac.revocation import Party, RevocationChange, RevocationList
from twoway.ac.revocation_changes import read_changes
from twoway.ac.sealed_rows import read_secrets, read_signing_keys
from twoway.ac.sealing import SealingKey, require_sealing_key
from twoway.ac.secrets import open_secrets
from twoway.ac.service import TokenService
from twoway.ac.signing_keys import SigningKeys, StoredKey
from twoway.ac.storage import Database
from twoway.ac.surroundings import Surroundings
from twoway.ac.ticket_record import TicketRecord
from twoway.ac.tickets import read_revoked
from twoway.clock import Clock
from twoway.configuration import Section
from twoway.errors import ConfigurationError
from twoway.pki import StoredIdentity
from twoway.policy import LinkedGrant, PolicySet
from twoway.trace import Fault, Trace, TraceEvent, ignore

LEDGERS_INTERVAL = 0.25
"""Seconds between two looks at whether a ledger has changed, as between those at the database. A look takes
a thread's turn, since a file system may let it wait; requests that come in between need not."""
_FIXED = ("listen", "uri", "database", "control", "audit_rows", "provisional")
"""What cannot change while the AC runs: others have been told, or it is open."""
_FIXED_LIMITS = ("pending", "request_bytes", "observations", "observations_per_connection", "associations")
"""Likewise of ``[limits]``: what was let in counts against them."""


@dataclass(frozen=True)
class Files:
    """What the operator's files say, read and checked."""

    config: ACConfig
    """``ac.toml``."""
    identity: StoredIdentity
    """Certificate, key and anchors of the AC."""
    policies: PolicySet
    """The policies, without grants."""
    surroundings: Surroundings
    """The regions of addresses."""
    sealing: SealingKey | None
    """With what the database's secrets are sealed."""

    @classmethod
    def load(cls, config: ACConfig, *, clock: Clock, entropy: Callable[[int], bytes]) -> Files:
        """Read everything that ``config`` names but the ledgers.

        Raises:
            ConfigurationError: one of them cannot be used.
        """
        identity = StoredIdentity.load(config.identity)
        identity.require_valid_at(clock.now())
        require_signing_key(identity)
        named = config.sealing_key
        sealing = None if named is None else require_sealing_key(named, entropy=entropy)
        return cls(
            config, identity, PolicySet.load(config.policies), Surroundings.load(config.regions), sealing
        )


@dataclass(frozen=True)
class _Rows:
    """What the database says, of one moment."""

    grants: Sequence[LinkedGrant]
    keys: Sequence[StoredKey]
    secrets: Mapping[str, bytes]

    @classmethod
    def read(cls, connection: Connection) -> _Rows:
        return cls(read_grants(connection), read_signing_keys(connection), read_secrets(connection))


class LivePicture:
    """What is known now, and how it changes.

    Args:
        files: what the operator's files say.
        database: where the rest is.
        audit: where it is recorded which files are in force.
        operator: who started the AC, for the audit.
        clock: where time comes from.
        entropy: returns that many random bytes.
        trace: hears of each new picture.
    """

    def __init__(
        self,
        files: Files,
        database: Database,
        audit: AuditLog,
        *,
        operator: str,
        clock: Clock,
        entropy: Callable[[int], bytes],
        trace: Trace = ignore,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._trace = trace
        self.files = files
        """What was read last of the operator's files."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after another picture has taken the place of the one before."""
        self._registry = self._registry_of(files.config)
        self._registry.load(why=f"the AC was started with {_counted(files)}", operator=operator)
        self._rows = database.read(_Rows.read)
        self.picture = _compose(files, self._rows, self._registry.directory)
        """What is known now."""
        self._service = TokenService(self.picture, entropy=entropy)
        self._changing = asyncio.Lock()  # so that rows that were read earlier never follow later ones
        self._look_at = clock.monotonic()

    async def service(self) -> TokenService:
        """Return the judgement on what is known now, the ledgers as of :data:`LEDGERS_INTERVAL` ago."""
        now = self._clock.monotonic()
        if now >= self._look_at:
            self._look_at = now + LEDGERS_INTERVAL
            await self._registry.refresh()
        if self._registry.directory is not self.picture.directory:
            self._take(_compose(self.files, self._rows, self._registry.directory))
        return self._service

    async def follow(self) -> None:
        """Take what the database says now, whoever changed it.

        Raises:
            StorageError: it could not be read; the picture stays.
        """
        async with self._changing:
            await self._registry.follow()
            rows = await asyncio.to_thread(self._database.read, _Rows.read)
            try:
                picture = _compose(self.files, rows, self._registry.directory)
            except ConfigurationError as error:
                # A key that this replica cannot open. It goes on with those it has, and says so. Rights are
                # followed all the same: one that was taken back must not live on by it, nor a secret.
                self._trace(Fault("keys not taken", "ac", {"reason": str(error)}))
                kept = {
                    name: sealed
                    for name, sealed in self._rows.secrets.items()
                    if rows.secrets.get(name) == sealed
                }
                rows = replace(rows, keys=self._rows.keys, secrets=kept)
                picture = _compose(self.files, rows, self._registry.directory)
            self._rows = rows
            self._take(picture)

    async def reload(self, config: ACConfig, *, operator: str) -> str:
        """Take the operator's files anew, all of them or none; return a sentence of what was taken.

        Args:
            config: what ``ac.toml`` says now.
            operator: who asks for it, for the audit.

        Raises:
            ConfigurationError: one of them cannot be used, or says what cannot change while the AC runs.
            StorageError: the registry could not be written.
        """
        async with self._changing:
            _require_same(self.files.config, config, _FIXED)
            _require_same(self.files.config.limits, config.limits, _FIXED_LIMITS)
            files = await asyncio.to_thread(
                lambda: Files.load(config, clock=self._clock, entropy=self._entropy)
            )
            if files.identity.identity.uri != self.picture.issuer:
                raise ConfigurationError(
                    "the AC cannot become another one while it runs",
                    where=str(config.identity),
                    remedy="start the AC anew",
                )
            # Read again: with another sealing key, more of them may open than when they were followed.
            rows = await asyncio.to_thread(self._database.read, _Rows.read)
            _compose(files, rows, self._registry.directory)  # whatever else can fail, fails before this
            registry = self._registry_of(config)
            why = f"the files were taken anew, with {_counted(files)}"
            await asyncio.to_thread(lambda: registry.load(why=why, operator=operator))
            self._registry, self.files, self._rows = registry, files, rows
            self._take(_compose(files, rows, registry.directory))
            return f"taken: {_counted(files)}, {len(registry.directory.entities)} identities"

    def _registry_of(self, config: ACConfig) -> Registry:
        return Registry(
            self._database,
            self._audit,
            clock=self._clock,
            ledgers=config.ledgers,
            publishers=config.publishers,
            subscribers=config.subscribers,
            places=config.places,
            trace=self._trace,
        )

    def _take(self, picture: Picture) -> None:
        self.picture = picture
        self._service = TokenService(picture, entropy=self._entropy)
        self._trace(TraceEvent("picture taken", "ac", {"entities": len(picture.directory.entities)}))
        self.on_change()


class LiveRevocation:
    """The list of revoked tickets, kept current with the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.revocation = RevocationList()
        """The list."""
        listed, changes = database.read(_read_list)
        self.revocation.load(listed, changes)
        self._last = changes[-1].number if changes else -1

    async def follow(self) -> frozenset[Party]:
        """Take the changes since the last time; return whom they concern.

        Raises:
            StorageError: they could not be read; the next time takes them.
        """
        changes = await asyncio.to_thread(
            self._database.read, lambda connection: read_changes(connection, self._last)
        )
        if not changes:
            return frozenset()
        if changes[0].number != self._last + 1:
            # More has happened than is kept: begin anew, and notify everybody.
            listed, history = await asyncio.to_thread(self._database.read, _read_list)
            self.revocation.load(listed, history)
            self._last = history[-1].number
            return self.revocation.parties
        self._last = changes[-1].number
        return self.revocation.apply(changes)


def _read_list(connection: Connection) -> tuple[list[TicketRecord], list[RevocationChange]]:
    return read_revoked(connection), read_changes(connection)


def require_signing_key(identity: StoredIdentity) -> ec.EllipticCurvePrivateKey:
    """Return the AC's key, which signs its tickets until the first rotation: with ES256, hence P-256.

    Raises:
        ConfigurationError: it is of another kind.
    """
    key = identity.private_key
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigurationError(
            "the AC signs tickets with its key, which has to be P-256",
            where=str(identity.folder),
            remedy="issue the AC's identity with --key p-256",
        )
    return key


def _require_same(before: Section, after: Section, names: Iterable[str]) -> None:
    for name in names:
        if getattr(before, name) != getattr(after, name):
            raise ConfigurationError(
                f"the value of {name!r} cannot change while the AC runs", remedy="start the AC anew"
            )


def _counted(files: Files) -> str:
    return f"{len(files.policies.ids)} policies"


def _compose(files: Files, rows: _Rows, directory: Directory) -> Picture:
    """Put files and rows together.

    Raises:
        ConfigurationError: a signing key or a publisher's secret cannot be opened.
    """
    return Picture(
        issuer=files.identity.identity.uri,
        directory=directory,
        policies=files.policies.with_grants(rows.grants),
        signing_keys=SigningKeys.load(
            rows.keys, identity_key=require_signing_key(files.identity), sealing=files.sealing
        ),
        secrets=open_secrets(rows.secrets, files.sealing),
        ticket_lifetime=files.config.ticket_lifetime,
        surroundings=files.surroundings,
        administrators=files.config.administrators,
        numbers=files.config.provisional,
    )
