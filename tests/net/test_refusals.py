"""What a person reads when a connection does not come about: who, what, and what to do."""

import asyncio
import socket

import pytest
from live_endpoints import calling, dtls_config, reach, serving, until
from small_pki import Flaw, small_pki

from twoway.dtls import AlertDescription, Closed, ClosedBy, DTLSConfig, PSKCredential
from twoway.errors import CallerError, ConfigurationError, NetworkError, PeerError, RefusedError
from twoway.net import (
    Endpoint,
    HandshakeBroken,
    HandshakeRefused,
    Limits,
    connection_ended,
    handshake_failed,
)

pki = small_pki()


async def test_a_busy_port_is_an_error_in_one_sentence():
    async with serving() as server:
        with pytest.raises(NetworkError) as caught:
            await Endpoint.open(host="127.0.0.1", port=server.address[1])
        assert str(caught.value) == (
            f"127.0.0.1:{server.address[1]}: the UDP port is already in use; "
            "stop the program that holds it or listen on another port"
        )


async def test_a_name_that_does_not_exist_cannot_be_listened_on():
    for host, port in (("no-such-host.invalid", 5684), ("127.0.0.1", 70_000), ("x" * 70, 1)):
        with pytest.raises(ConfigurationError, match="this host or port to listen on is not known"):
            await Endpoint.open(host=host, port=port)


async def test_a_name_that_does_not_exist_cannot_be_reached():
    async with calling() as client:
        for host in ("no-such-host.invalid", "x" * 70, "", "a\0b"):
            with pytest.raises(NetworkError):
                await client.connect(host, 5684, dtls_config(pki.subscriber))


async def test_an_address_of_the_other_family_cannot_be_reached_from_a_bound_one():
    async with calling(host="127.0.0.1") as client:
        with pytest.raises(
            NetworkError, match=r"\[::1\]:5684: no address of it can be reached from 127\.0\.0\.1"
        ):
            await client.connect("::1", 5684, dtls_config(pki.subscriber))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_port_where_nobody_listens_is_known_at_once(host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    async with calling() as client, asyncio.timeout(5):
        with pytest.raises(NetworkError, match=r"nobody answered \(connection refused\); check the address"):
            await client.connect(host, port, dtls_config(pki.subscriber))


async def test_a_host_that_says_nothing_is_given_up_after_the_handshake_timeout():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        async with calling() as client, asyncio.timeout(5):
            config = dtls_config(pki.subscriber, handshake_timeout=0.2)
            with pytest.raises(NetworkError, match=r"^127\.0\.0\.1:\d+: nobody answered; check the address"):
                await client.connect("127.0.0.1", mute.getsockname()[1], config)


async def test_the_next_address_of_a_name_is_tried_when_one_is_silent(monkeypatch):
    resolve = asyncio.get_running_loop().getaddrinfo

    async def two_addresses(host, port, **hints):
        silent = await resolve("127.0.0.2", port, **hints)
        return silent + await resolve("127.0.0.1", port, **hints)

    async with serving() as server, calling() as client:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two_addresses)
        connection = await reach(client, server, host="meter.example")
        assert connection.remote == server.address
        await server.close()
        await connection.wait_closed()
        with pytest.raises(
            NetworkError, match=r"meter\.example:\d+: 127\.0\.0\.2:\d+: nobody answered.*, 127\.0\.0\.1:\d+: "
        ):
            await reach(client, server, host="meter.example")


async def test_a_client_of_another_authority_is_told_so():
    async with serving() as server, calling() as client:
        with pytest.raises(HandshakeRefused) as caught:
            await reach(client, server, dtls_config(pki.outsider))
        assert caught.value.alert is AlertDescription.UNKNOWN_CA
        assert isinstance(caught.value, RefusedError)
        assert str(caught.value) == (
            f"127.0.0.1:{server.address[1]}: the handshake was refused with the alert unknown_ca: "
            "the certificate was signed by an authority that is not trusted there; "
            "use certificates of one authority on both sides"
        )
        assert server.connections == ()


async def test_a_server_of_another_authority_is_refused_by_us():
    async with serving(accept=dtls_config(pki.outsider)) as server, calling() as client:
        with pytest.raises(HandshakeBroken, match="use certificates of one authority") as caught:
            await reach(client, server)
        assert caught.value.alert is AlertDescription.UNKNOWN_CA
        assert isinstance(caught.value, PeerError)


@pytest.mark.parametrize(
    ("flaw", "alert"),
    [
        (Flaw.EXPIRED, AlertDescription.CERTIFICATE_EXPIRED),
        (Flaw.SERVER_ONLY, AlertDescription.UNSUPPORTED_CERTIFICATE),
        (Flaw.FORGED, None),
    ],
)
async def test_a_client_whose_certificate_is_wrong_is_told_why(flaw, alert):
    async with serving() as server, calling() as client:
        with pytest.raises(RefusedError) as caught:
            await reach(client, server, dtls_config(pki.flawed(flaw)))
        assert alert in (None, caught.value.alert)
        assert server.connections == ()


async def test_an_unknown_pre_shared_key_and_a_wrong_one_are_not_told_apart():
    accept = DTLSConfig(psk_lookup={b"sink": bytes(16)}.get)
    sentences = set()
    async with serving(accept=accept) as server, calling() as client:
        for identity in (b"sink", b"stranger"):
            with pytest.raises((RefusedError, PeerError)) as caught:
                await reach(client, server, DTLSConfig(psk=PSKCredential(identity, b"x" * 16)))
            sentences.add(str(caught.value))
    assert len(sentences) == 1
    assert "compare the " in sentences.pop()


async def test_a_client_without_a_credential_for_clients_is_the_callers_fault():
    async with serving() as server, calling() as client:
        with pytest.raises(CallerError):
            await reach(client, server, DTLSConfig(psk_lookup=lambda _: None))
        assert client.connections == ()


async def test_an_endpoint_that_is_full_opens_no_more():
    async with serving() as server, calling(limits=Limits(associations=1)) as client:
        await reach(client, server)
        with pytest.raises(NetworkError, match="this endpoint has too many associations"):
            await reach(client, server)


async def test_a_cancelled_connect_leaves_no_association():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        async with calling() as client:
            address = mute.getsockname()
            attempts = [
                asyncio.create_task(client.connect(*address, dtls_config(pki.subscriber))) for _ in range(3)
            ]
            await asyncio.sleep(0.05)
            for attempt in attempts:
                attempt.cancel()
            outcomes = await asyncio.gather(*attempts, return_exceptions=True)
            assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
            assert len(client._switchboard.links) == 0


async def test_a_connect_that_is_cancelled_as_it_succeeds_leaves_no_connection():
    def cancel(event):
        if event.name == "association complete":
            attempt.cancel()

    async with serving() as server, calling(trace=cancel) as client:
        attempt = asyncio.create_task(reach(client, server))
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert client.connections == ()
        await until(lambda: not server.connections)


async def test_closing_the_endpoint_ends_a_connect_that_waits():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        async with calling() as client:
            attempt = asyncio.create_task(client.connect(*mute.getsockname(), dtls_config(pki.subscriber)))
            await asyncio.sleep(0.05)
            await client.close()
            with pytest.raises(PeerError, match="the endpoint was closed"):
                await attempt


@pytest.mark.parametrize("alert", list(AlertDescription))
def test_each_alert_has_a_meaning_in_words(alert):
    for by in (ClosedBy.PEER, ClosedBy.US):
        closed = Closed(by, alert, "our own reason", established=False)
        sentence = str(handshake_failed(closed, "meter:5684"))
        assert sentence.startswith("meter:5684: ")
        assert "\n" not in sentence
        assert (alert.label in sentence) is (by is ClosedBy.PEER)
        assert str(connection_ended(closed, "meter:5684")).startswith("meter:5684: ")


def test_only_a_verdict_on_who_we_are_is_a_refusal():
    def kind(alert):
        return type(handshake_failed(Closed(ClosedBy.PEER, alert, "", established=False), "x"))

    assert kind(AlertDescription.BAD_CERTIFICATE) is kind(AlertDescription.ACCESS_DENIED) is HandshakeRefused
    assert kind(AlertDescription.DECODE_ERROR) is kind(AlertDescription.INTERNAL_ERROR) is HandshakeBroken


def test_silence_is_a_matter_of_the_network():
    closed = Closed(ClosedBy.TIMEOUT, None, "the peer did not answer in time", established=False)
    assert str(handshake_failed(closed, "meter:5684")) == (
        "meter:5684: nobody answered; check the address and the port, and that the server is running"
    )
