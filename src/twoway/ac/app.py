"""The AC as a running program: identity, database, policies, socket and resources, wired together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import count

from aiocoap.resource import Site, WKCResource
from cryptography.hazmat.primitives.asymmetric import ec

from twoway.ac.audit import AuditLog
from twoway.ac.config import ACConfig
from twoway.ac.registry import Registry
from twoway.ac.resources import REQUEST_LIMIT_BYTES, TokenResource
from twoway.ac.service import TokenService
from twoway.ac.storage import Database
from twoway.clock import Clock, SystemClock
from twoway.coap import BodyLimits, open_context
from twoway.configuration import Address, listen_uri
from twoway.dtls import DTLSConfig
from twoway.errors import ConfigurationError
from twoway.net import Endpoint, credential_of
from twoway.pki import StoredIdentity
from twoway.policy import PolicySet
from twoway.tickets import TicketIssuer
from twoway.trace import Trace, ignore

Entropy = Callable[[int], bytes]
"""Returns that many random bytes."""


async def serve(
    config: ACConfig,
    *,
    ready: Callable[[str], None],
    clock: Clock | None = None,
    entropy: Entropy = os.urandom,
    trace: Trace = ignore,
) -> None:
    """Run the AC until cancelled; peers then get a close_notify and the database is closed.

    Args:
        config: what ``ac.toml`` says.
        ready: called once with the AC's URI when requests are answered.
        clock: the time; the system's if None.
        entropy: randomness for handshakes and ticket names.
        trace: hears what happens.

    Raises:
        ConfigurationError: the identity, a ledger, a policy, the database or the address cannot be used.
        NetworkError: the port is taken.
        StorageError: the database failed.
    """
    clock = clock or SystemClock()
    identity = StoredIdentity.load(config.identity)
    identity.require_valid_at(clock.now())
    service = TokenService(
        issuer=TicketIssuer(
            issuer=identity.identity.uri, private_key=_signing_key(identity), entropy=entropy
        ),
        policies=PolicySet.load(config.policies),
        ticket_lifetime=config.ticket_lifetime,
        sequence=_numbers_from(clock),
    )
    async with AsyncExitStack() as open_things:
        database = Database(config.database)
        open_things.callback(database.close)
        registry = Registry(
            database,
            ledgers=config.ledgers,
            publishers=config.publishers,
            subscribers=config.subscribers,
            places=config.places,
            trace=trace,
        )
        registry.load()
        audit = AuditLog(database, rows=config.audit_rows)
        site = _site(TokenResource(service, registry, audit, clock=clock, trace=trace))
        endpoint = await Endpoint.open(
            host=config.listen.host,
            port=config.listen.port,
            accept=_accepts(identity),
            clock=clock,
            entropy=entropy,
            trace=trace,
        )
        open_things.push_async_callback(endpoint.close)
        context = await open_context(
            endpoint, site=site, body_limits=BodyLimits(body_bytes=REQUEST_LIMIT_BYTES)
        )
        open_things.push_async_callback(context.shutdown)
        ready(config.uri or listen_uri(Address(config.listen.host, endpoint.address[1])))
        await asyncio.get_running_loop().create_future()


def _signing_key(identity: StoredIdentity) -> ec.EllipticCurvePrivateKey:
    """Return the AC's key, which signs its tickets too: with ES256, hence P-256."""
    key = identity.private_key
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ConfigurationError(
            "the AC signs tickets with its key, which has to be P-256",
            where=str(identity.folder),
            remedy="issue the AC's identity with --key p-256",
        )
    return key


def _numbers_from(clock: Clock) -> Callable[[], int]:
    """Number the tickets from the microsecond of the start: no AC issues a million a second for long."""
    return count(int(clock.now().timestamp() * 1_000_000)).__next__


def _accepts(identity: StoredIdentity) -> DTLSConfig:
    """Return how requesters are met: both sides show certificates, nothing less."""
    return DTLSConfig(certificate=credential_of(identity), trust=identity.trust)


def _site(token: TokenResource) -> Site:
    site = Site()
    site.add_resource(["token"], token)
    site.add_resource([".well-known", "core"], WKCResource(site.get_resources_as_linkheader))
    return site
