"""The publisher as a program: files in, a listening socket out, and an orderly end.

It owns the wiring. It must never decide anything: what may be read is the service's, what is read is the
sources', and how it travels is the layers' below.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AsyncExitStack

from twoway.clock import Clock, SystemClock
from twoway.coap import BodyLimits, open_context
from twoway.configuration import Address, listen_uri
from twoway.net import Endpoint
from twoway.publisher.ac_link import open_link
from twoway.publisher.config import PublisherConfig
from twoway.publisher.credentials import load_authority, load_credentials
from twoway.publisher.exi_file import ExiFile
from twoway.publisher.plain_listener import PlainListener
from twoway.publisher.publisher import Publisher
from twoway.publisher.revoked_file import RevokedFile
from twoway.tickets import MAX_TICKET_BYTES
from twoway.trace import Fault, Trace, ignore


async def serve(
    config: PublisherConfig,
    *,
    ready: Callable[[str], None],
    clock: Clock | None = None,
    entropy: Callable[[int], bytes] = os.urandom,
    trace: Trace = ignore,
) -> None:
    """Serve until cancelled; then say close_notify to everybody and return the socket.

    Args:
        config: what :func:`~twoway.publisher.config.load_config` read.
        ready: is called once, with the ``coaps`` URI under which the publisher is reached from here, when
            every resource has its first reading and the socket listens.
        clock: the time; the operating system's by default.
        entropy: returns that many random bytes.
        trace: hears decisions, failures of sources, and what happens on the wire.

    Raises:
        ConfigurationError: a file that the configuration names is missing or wrong, or the address is.
        NetworkError: the socket cannot be opened.
    """
    clock = clock if clock is not None else SystemClock()
    credentials = load_credentials(config, now=clock.now())
    authority = exi_file = None
    if config.ac is not None:
        exi_file = ExiFile(config.ac.exi_file) if config.ac.exi_file is not None else None
        authority = load_authority(
            config.ac,
            credentials,
            exi_ledger=exi_file.ledger if exi_file is not None else None,
            numbers=config.provisional,
            entropy=entropy,
            now=clock.now(),
        )
    async with AsyncExitStack() as stack:
        link = revoked_file = None
        if authority is not None and credentials.client is not None:
            way = open_link(authority, credentials.client, clock=clock, trace=trace)
            link = await stack.enter_async_context(way)
            revoked_file = _open_revoked_file(config, trace)
        publisher = Publisher(
            config, credentials, authority, link, exi_file, revoked_file, clock=clock, trace=trace
        )
        for feed in publisher.feeds:
            await feed.start()
        endpoint = await Endpoint.open(
            host=config.listen.host,
            port=config.listen.port,
            accept=publisher.dtls,
            on_connection=publisher.welcome,
            clock=clock,
            trace=trace,
        )
        stack.push_async_callback(endpoint.close)
        limits = BodyLimits(body_bytes=MAX_TICKET_BYTES)
        context = await open_context(endpoint, site=publisher.site, body_limits=limits)
        stack.push_async_callback(context.shutdown)
        if config.plain is not None:
            listener = await PlainListener.open(config.plain.listen, publisher.plain_door(), trace=trace)
            stack.push_async_callback(listener.close)
        ready(listen_uri(Address(config.listen.host, endpoint.address[1])))
        await publisher.run()


def _open_revoked_file(config: PublisherConfig, trace: Trace) -> RevokedFile | None:
    ac = config.ac
    if ac is None or not ac.follow or ac.revoked_file is None:
        return None
    file = RevokedFile(ac.revoked_file)
    if not file.is_intact:
        trace(Fault("revoked tickets unknown", "publisher", {"because": str(file.fault)}))
    return file
