"""The publisher as a program: files in, a listening socket out, and an orderly end.

It owns the wiring. It must never decide anything: what may be read is the service's, what is read is the
sources', and how it travels is the layers' below.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from twoway.clock import Clock, SystemClock
from twoway.coap import BodyLimits, end_connection, open_context
from twoway.configuration import Address, listen_uri
from twoway.net import Endpoint
from twoway.publisher.admission import Admission, nothing_learnt
from twoway.publisher.authz_info import AuthzInfoResource
from twoway.publisher.config import PublisherConfig
from twoway.publisher.credentials import Credentials, load_authority, load_credentials
from twoway.publisher.discovery import DiscoveryResource
from twoway.publisher.following import Following, open_link
from twoway.publisher.guard import GuardedSite
from twoway.publisher.plain_door import PlainDoor
from twoway.publisher.plain_listener import PlainListener
from twoway.publisher.resources import ReadingResource
from twoway.publisher.revocation import RevokedTickets
from twoway.publisher.service import AccessControl
from twoway.publisher.sessions import Sessions
from twoway.publisher.sources import Feed, open_source
from twoway.publisher.target import AUTHZ_INFO, WELL_KNOWN_CORE
from twoway.tickets import MAX_TICKET_BYTES
from twoway.trace import Trace, ignore

EXPIRY_INTERVAL = 0.5
"""Seconds between two looks at whose rights have ended. Nothing is sent to anybody after the end in any case,
for every notification is checked; this is how soon the peer is told. Sleeping until the next expiry would
be less work, and wrong as soon as somebody sets the wall clock."""
LAST_WORDS_TIMEOUT = 1.5
"""Seconds that a peer has to acknowledge the last 4.01 before its association is closed all the same: whoever
was revoked is gone within two seconds of the notification."""


async def serve(
    config: PublisherConfig,
    *,
    ready: Callable[[str], None],
    clock: Clock | None = None,
    trace: Trace = ignore,
) -> None:
    """Serve until cancelled; then say close_notify to everybody and return the socket.

    Args:
        config: what :func:`~twoway.publisher.config.load_config` read.
        ready: is called once, with the ``coaps`` URI under which the publisher is reached from here, when
            every resource has its first reading and the socket listens.
        clock: the time; the operating system's by default.
        trace: hears decisions, failures of sources, and what happens on the wire.

    Raises:
        ConfigurationError: a file that the configuration names is missing or wrong, or the address is.
        NetworkError: the socket cannot be opened.
    """
    clock = clock if clock is not None else SystemClock()
    credentials = load_credentials(config, now=clock.now())
    revoked = _revoked(config, credentials, clock)
    access = _access_control(config, credentials, revoked, clock)
    sessions = Sessions(
        access, end_connection=partial(end_connection, last_words_timeout=LAST_WORDS_TIMEOUT), trace=trace
    )
    site = GuardedSite(access, sessions, clock=clock, trace=trace)
    feeds = _add_readings(site, config, credentials, clock=clock, trace=trace)
    async with AsyncExitStack() as stack:
        following = None
        if config.ac is not None and access.authority is not None and revoked is not None:
            assert credentials.client is not None
            link = open_link(access.authority, credentials.client, clock=clock, trace=trace)
            following = Following(
                await stack.enter_async_context(link),
                authority=access.authority,
                revoked=revoked,
                access=access,
                sessions=sessions,
                interval=config.ac.poll_interval,
                clock=clock,
                trace=trace,
            )
        learn_keys = following.learn_keys if following is not None else nothing_learnt
        admission = Admission(access, clock=clock, learn_keys=learn_keys, trace=trace)
        if access.authority is not None:
            site.add_open(AUTHZ_INFO, AuthzInfoResource(admission, sessions))
        site.add_open(WELL_KNOWN_CORE, DiscoveryResource(site.links))
        for feed in feeds:
            await feed.start()
        endpoint = await Endpoint.open(
            host=config.listen.host,
            port=config.listen.port,
            accept=credentials.dtls,
            clock=clock,
            trace=trace,
        )
        stack.push_async_callback(endpoint.close)
        context = await open_context(endpoint, site=site, body_limits=BodyLimits(body_bytes=MAX_TICKET_BYTES))
        stack.push_async_callback(context.shutdown)
        if config.plain is not None:
            door = PlainDoor(admission, hints=access.hints_for_strangers, clock=clock)
            listener = await PlainListener.open(config.plain.listen, door, trace=trace)
            stack.push_async_callback(listener.close)
        ready(listen_uri(Address(config.listen.host, endpoint.address[1])))
        async with asyncio.TaskGroup() as tasks:
            for feed in feeds:
                tasks.create_task(feed.run())
            tasks.create_task(_end_lost(access, sessions, clock))
            if following is not None:
                tasks.create_task(following.run())


def _revoked(config: PublisherConfig, credentials: Credentials, clock: Clock) -> RevokedTickets | None:
    """Return the list of revoked tickets, if it is followed."""
    if config.ac is None or not config.ac.follow or credentials.client is None:
        return None
    return RevokedTickets(monotonic=clock.monotonic, fresh_for=config.ac.require_fresh_trl)


def _access_control(
    config: PublisherConfig, credentials: Credentials, revoked: RevokedTickets | None, clock: Clock
) -> AccessControl:
    authority = load_authority(config.ac, credentials, now=clock.now()) if config.ac is not None else None
    return AccessControl(
        audience=credentials.name,
        default_subscribers=config.default_subscribers,
        authority=authority,
        revoked=revoked,
    )


def _add_readings(
    site: GuardedSite, config: PublisherConfig, credentials: Credentials, *, clock: Clock, trace: Trace
) -> list[Feed]:
    """Open every source and put its resource behind the check."""
    feeds = []
    for section in config.resource:
        resource = ReadingResource(
            base_name=f"{credentials.name}{section.path}/",
            interval=section.interval,
            resource_type=section.type,
        )
        site.add(tuple(section.path.split("/")[1:]), resource)
        feeds.append(Feed(section.path, open_source(section), resource, clock=clock, trace=trace))
    return feeds


async def _end_lost(access: AccessControl, sessions: Sessions, clock: Clock) -> None:
    while True:
        await asyncio.sleep(EXPIRY_INTERVAL)
        now = clock.now()
        access.drop_expired(now)
        sessions.end_lost(now)
