"""With what a connection is opened, and that a key is no certificate and a certificate no key."""

from __future__ import annotations

from pathlib import Path

import pytest
from deployment import Deployment
from odd_parties import Gate, odd_publisher, pick

from twoway.clock import SystemClock
from twoway.coap import open_context
from twoway.dtls import PSKCredential
from twoway.errors import CallerError, PeerError
from twoway.identity import identity_uri
from twoway.net import Endpoint
from twoway.subscriber import KeyedPublisher, Step
from twoway.subscriber.audience import Audience
from twoway.subscriber.exchange import Exchange
from twoway.subscriber.places import Places
from twoway.tickets import CreationHints

HOST = KeyedPublisher(identity_uri("host"), "coaps://Host.example:5685")
OTHER = KeyedPublisher(identity_uri("other"), "coaps://other.example")
KEY = PSKCredential(b"ticket", b"0123456789abcdef")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_a_key_is_for_its_place_and_its_moment_alone(deployment: Deployment):
    certified = pick(deployment.identity("reader"))
    places = Places(certified, (HOST, OTHER))
    with places.meeting(HOST, KEY):
        meeting = places.config("host.example", 5685)
        assert (meeting.psk, meeting.certificate, meeting.trust) == (KEY, None, None)
        with pytest.raises(CallerError):
            places.config("other.example", 5684)
        assert places.config("host.example", 5684) is certified
    with pytest.raises(CallerError):
        places.config("HOST.example.", 5685)


async def test_a_certificate_in_the_place_of_a_key_is_refused_before_anything_is_sent(
    deployment: Deployment,
):
    """Whoever is certified for the place is not thereby the publisher that the ticket is for."""
    told: list[Step] = []
    gate = Gate(CreationHints())
    async with odd_publisher(deployment, gate) as uri, await Endpoint.open() as endpoint:
        config = pick(deployment.identity("reader"))
        context = await open_context(endpoint, client_config=lambda _host, _port: config)
        try:
            exchange = Exchange(context, answer_timeout=10, clock=SystemClock(), tell=told.append)
            with pytest.raises(PeerError, match="did not prove the key"):
                await exchange.connect_by_key(
                    uri,
                    audience=Audience(HOST.identity),
                    psk_identity=b"ticket",
                    lasts=lambda _connection, _now: True,
                )
            assert all(connection.closed is not None for connection in endpoint.connections)
        finally:
            await context.shutdown()
    assert told == []
