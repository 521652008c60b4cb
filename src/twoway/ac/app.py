"""The AC as a running program: identity, database, policies, socket and resources, wired together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from aiocoap.resource import WKCResource

from twoway.ac.audit import AuditLog
from twoway.ac.config import ACConfig
from twoway.ac.control import control_socket
from twoway.ac.generation import Follower
from twoway.ac.keyed_publisher import association_key_untrusted
from twoway.ac.live import Files, LivePicture, LiveRevocation
from twoway.ac.operators import this_user
from twoway.ac.rate import RequestRate
from twoway.ac.requester import NotAdmitted
from twoway.ac.resources import Door, IntrospectionResource, KeysResource, RevocationResource, TokenResource
from twoway.ac.resources.door import Observations
from twoway.ac.server_config import LimitsSection
from twoway.ac.storage import Database
from twoway.ac.tickets import TicketRecords
from twoway.clock import Clock, SystemClock
from twoway.coap import BodyLimits, open_context
from twoway.configuration import Address, listen_uri
from twoway.dtls import CertificateCredential, DTLSConfig, RawKeyCredential
from twoway.errors import StorageError
from twoway.net import Endpoint, Limits, credential_of
from twoway.trace import Fault, Trace, ignore

Entropy = Callable[[int], bytes]
"""Returns that many random bytes."""

_PRUNE_INTERVAL = 30.0
"""Seconds between two removals of expired tickets."""
_KEYS_INTERVAL = 1.0
"""Seconds between two looks at which keys are announced: they come and go by the clock, too."""


async def serve(
    config: ACConfig,
    *,
    ready: Callable[[str], None],
    reread: Callable[[], ACConfig] | None = None,
    clock: Clock | None = None,
    entropy: Entropy = os.urandom,
    trace: Trace = ignore,
) -> None:
    """Run the AC until cancelled; peers then get a close_notify and the database is closed.

    Args:
        config: what ``ac.toml`` says.
        ready: called once with the AC's URI when requests are answered.
        reread: reads ``ac.toml`` again, for ``twoway ac reload``; the same configuration if None.
        clock: the time; the system's if None.
        entropy: randomness for handshakes, keys and seals.
        trace: hears what happens.

    Raises:
        ConfigurationError: the identity, a ledger, a policy, the database or the address cannot be used.
        NetworkError: the port is taken.
        StorageError: the database failed.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as open_things:
        files = Files.load(config, clock=clock, entropy=entropy)
        database = Database(config.database)
        open_things.callback(database.close)
        audit = AuditLog(database, rows=config.audit_rows)
        live = LivePicture(
            files, database, audit, operator=this_user(), clock=clock, entropy=entropy, trace=trace
        )
        server = _Server(live, database, audit, clock=clock, trace=trace)
        commands = {"reload": lambda operator: server.reload(reread or (lambda: config), operator)}
        await open_things.enter_async_context(control_socket(config.control, commands))
        endpoint = await Endpoint.open(
            host=config.listen.host,
            port=config.listen.port,
            accept=_accepts(live),
            limits=Limits(associations=config.limits.associations),
            clock=clock,
            entropy=entropy,
            trace=trace,
        )
        open_things.push_async_callback(endpoint.close)
        server.endpoint = endpoint
        context = await open_context(
            endpoint, site=server.site, body_limits=BodyLimits(body_bytes=config.limits.request_bytes)
        )
        open_things.push_async_callback(context.shutdown)
        ready(config.uri or listen_uri(Address(config.listen.host, endpoint.address[1])))
        await server.run()


class _Server:
    """The resources, and what keeps them current."""

    def __init__(
        self, live: LivePicture, database: Database, audit: AuditLog, *, clock: Clock, trace: Trace
    ) -> None:
        config = live.files.config
        self._live = live
        self._clock = clock
        self._trace = trace
        self._records = TicketRecords(database, audit)
        self._revocation = LiveRevocation(database)
        self._revocation.revocation.administrators = config.administrators
        self._follower = Follower(database, self._follow, trace=trace)
        self._keys = KeysResource(lambda: live.picture, clock=clock)
        self._trl = RevocationResource(self._revocation.revocation, lambda: live.picture, trace=trace)
        limits = config.limits
        observations = Observations(
            total=limits.observations, per_connection=limits.observations_per_connection
        )
        self.site = Door(_rate(limits), observations, clock=clock)
        self.site.add_resource(
            ["token"],
            TokenResource(
                live.service,
                database,
                self._records,
                audit,
                clock=clock,
                pending=limits.pending,
                request_bytes=limits.request_bytes,
                trace=trace,
            ),
        )
        self.site.add_resource(
            ["introspect"],
            IntrospectionResource(
                lambda: live.picture,
                database,
                clock=clock,
                pending=limits.pending,
                request_bytes=limits.request_bytes,
                trace=trace,
            ),
        )
        self.site.add_resource(["revoke", "trl"], self._trl)
        self.site.add_resource(["keys"], self._keys)
        self.site.add_resource([".well-known", "core"], WKCResource(self.site.get_resources_as_linkheader))
        self.endpoint: Endpoint | None = None
        live.on_change = self._changed

    async def run(self) -> None:
        """Follow, prune and announce until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follower.run())
            tasks.create_task(self._announce())
            tasks.create_task(self._prune())

    async def reload(self, reread: Callable[[], ACConfig], operator: str) -> str:
        """Take the files anew; see :meth:`LivePicture.reload`."""
        before = self._live.files.config.limits
        taken = await self._live.reload(await asyncio.to_thread(reread), operator=operator)
        limits = self._live.files.config.limits
        if limits != before:
            self.site.rate = _rate(limits)
        return taken

    async def _follow(self) -> None:
        await self._live.follow()
        self._trl.changed(await self._revocation.follow())

    def _changed(self) -> None:
        """Let everything that lasts hear of another picture."""
        self._revocation.revocation.administrators = self._live.picture.administrators
        self._keys.look()
        if self.endpoint is not None:
            self.endpoint.accept = _accepts(self._live)

    async def _announce(self) -> None:
        while True:
            self._keys.look()
            await asyncio.sleep(_KEYS_INTERVAL)

    async def _prune(self) -> None:
        while True:
            try:
                await self._records.prune(self._clock.now())
            except StorageError as error:
                self._trace(Fault("expired tickets not removed", "ac", {"reason": str(error)}))
            await asyncio.sleep(_PRUNE_INTERVAL)


def _rate(limits: LimitsSection) -> RequestRate:
    return RequestRate(
        per_identity=limits.per_identity, per_network=limits.per_network, remembered=limits.remembered
    )


def _accepts(live: LivePicture) -> DTLSConfig:
    """Return how requesters are met: both sides prove themselves, nothing less.

    By certificate, with whoever has a registered raw public key by the keys alone, and with publishers that
    share a secret by a key that comes of it.
    """
    identity = live.files.identity
    pins = frozenset(live.picture.directory.raw_keys)
    credential = credential_of(identity)
    return DTLSConfig(
        certificate=credential,
        trust=identity.trust,
        raw_key=_raw(credential) if pins else None,
        raw_key_pins=pins,
        psk_lookup=partial(_association_key, live) if live.picture.secrets else None,
    )


def _association_key(live: LivePicture, psk_identity: bytes) -> bytes | None:
    """Look a key up for the engine, to which a name that is not known and a wrong key are the same."""
    try:
        return association_key_untrusted(psk_identity, live.picture)
    except NotAdmitted:
        return None


def _raw(credential: CertificateCredential) -> RawKeyCredential:
    """Return the key of a certificate as one that is shown by itself (RFC 7250)."""
    return RawKeyCredential(credential.public_key, credential.private_key, credential.signer)
