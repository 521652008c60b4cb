"""The publisher as a program: files in, a listening socket out, and an orderly end.

It owns the wiring. It must never decide anything: what may be read is the service's, what is read is the
sources', and how it travels is the layers' below.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from twoway.clock import Clock, SystemClock
from twoway.coap import BodyLimits, end_connection, open_context
from twoway.configuration import Address, listen_uri
from twoway.net import Endpoint
from twoway.publisher.admission import Admission
from twoway.publisher.authz_info import AuthzInfoResource
from twoway.publisher.config import PublisherConfig
from twoway.publisher.credentials import Credentials, load_authority, load_credentials
from twoway.publisher.discovery import DiscoveryResource
from twoway.publisher.guard import GuardedSite
from twoway.publisher.plain_door import PlainDoor
from twoway.publisher.plain_listener import PlainListener
from twoway.publisher.resources import ReadingResource
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
    access = _access_control(config, credentials, clock)
    sessions = Sessions(access, end_connection=end_connection, trace=trace)
    admission = Admission(access, clock=clock, trace=trace)
    site = GuardedSite(access, sessions, clock=clock, trace=trace)
    feeds = _add_readings(site, config, credentials, clock=clock, trace=trace)
    if access.authority is not None:
        site.add_open(AUTHZ_INFO, AuthzInfoResource(admission, sessions))
    site.add_open(WELL_KNOWN_CORE, DiscoveryResource(site.links))
    for feed in feeds:
        await feed.start()
    async with AsyncExitStack() as stack:
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
            tasks.create_task(_end_expired(sessions, clock))


def _access_control(config: PublisherConfig, credentials: Credentials, clock: Clock) -> AccessControl:
    authority = load_authority(config.ac, credentials, now=clock.now()) if config.ac is not None else None
    return AccessControl(
        audience=credentials.name, default_subscribers=config.default_subscribers, authority=authority
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


async def _end_expired(sessions: Sessions, clock: Clock) -> None:
    while True:
        await asyncio.sleep(EXPIRY_INTERVAL)
        sessions.end_expired(clock.now())
