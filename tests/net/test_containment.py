"""One bad apple: a fault in a listener, an engine or a signer stays where it is."""

import asyncio
import socket
import threading

import pytest
from live_endpoints import BareClient, Inbox, calling, echo, reach, serving, until
from small_pki import small_pki

from twoway.dtls import CertificateCredential, ClosedBy, DTLSConfig, PSKCredential, SignatureScheme
from twoway.dtls.signatures import sign
from twoway.errors import CallerError, NetworkError

pki = small_pki()


class Traced(list):
    def __call__(self, event):
        self.append(event)

    def named(self, name):
        return [event for event in self if event.name == name]


def explode(*_):
    raise ZeroDivisionError("a listener's mistake")


async def test_a_listener_for_data_that_raises_costs_its_connection_alone():
    trace, accepted = Traced(), []

    def take(connection):
        accepted.append(connection)
        connection.on_data = explode if len(accepted) == 1 else connection.send

    async with serving(on_connection=take, trace=trace) as server, calling() as bad, calling() as good:
        unlucky, lucky = await reach(bad, server), await reach(good, server)
        unlucky.send(b"boom")
        async with asyncio.timeout(5):
            assert (await unlucky.wait_closed()).by is ClosedBy.PEER
        lucky.send(b"fine")
        assert await Inbox.of(lucky).first() == b"fine"
        [told] = trace.named("listener failed")
        assert told.data["fault"] == "ZeroDivisionError: a listener's mistake"
        assert server.counters["listeners failed"] == 1


async def test_a_listener_for_connections_that_raises_costs_that_connection_alone():
    async with serving(on_connection=explode) as server, calling() as client:
        connection = await reach(client, server)
        async with asyncio.timeout(5):
            await connection.wait_closed()
        server.on_connection = echo
        connection = await reach(client, server)
        connection.send(b"fine")
        assert await Inbox.of(connection).first() == b"fine"


async def test_a_listener_for_the_end_that_raises_does_not_keep_the_others_from_hearing():
    heard = []
    async with serving() as server, calling() as client:
        connection = await reach(client, server)
        connection.add_closed_listener(explode)
        connection.add_closed_listener(heard.append)
        connection.close()
        assert len(heard) == 1
        assert client.counters["listeners failed"] == 1
        assert client.connections == ()


async def test_a_listener_may_close_and_send_in_the_midst_of_being_called():
    def answer_and_close(connection):
        def take(data):
            connection.send(b"bye, " + data)
            connection.close()

        connection.on_data = take

    async with serving(on_connection=answer_and_close) as server, calling() as client:
        connection = await reach(client, server)
        inbox = Inbox.of(connection)
        connection.send(b"you")
        async with asyncio.timeout(5):
            await connection.wait_closed()
        assert inbox.received == [b"bye, you"]


async def test_an_engine_that_raises_costs_its_association_alone():
    """A key lookup must not raise; one that does fails inside the engine, in the midst of a handshake."""
    trace, key = Traced(), bytes(16)

    def lookup(identity):
        return explode() if identity == b"cursed" else key

    accept = DTLSConfig(psk_lookup=lookup)
    async with serving(accept=accept, on_connection=echo, trace=trace) as server, calling() as client:
        with pytest.raises(NetworkError, match="nobody answered"):
            await reach(client, server, DTLSConfig(psk=PSKCredential(b"cursed", key), handshake_timeout=0.3))
        assert server.counters["engines failed"] == 1
        assert trace.named("engine failed")[0].data["fault"].startswith("ZeroDivisionError")
        assert server.half_open == 0
        connection = await reach(client, server, DTLSConfig(psk=PSKCredential(b"sound", key)))
        connection.send(b"fine")
        assert await Inbox.of(connection).first() == b"fine"


async def test_data_that_fits_no_record_is_the_callers_fault_and_costs_nothing():
    async with serving(on_connection=echo) as server, calling() as client:
        connection = await reach(client, server)
        with pytest.raises(CallerError):
            connection.send(bytes(2**14 + 1))
        connection.send(b"fine")
        assert await Inbox.of(connection).first() == b"fine"


async def test_a_client_that_stalls_in_its_handshake_does_not_hold_up_another():
    async with serving(on_connection=echo) as server, calling() as client:
        with await BareClient.at(server) as stalled:
            await stalled.bring_cookie()
            await until(lambda: server.half_open == 1)
            async with asyncio.timeout(1):
                connection = await reach(client, server)
                connection.send(b"next, please")
                assert await Inbox.of(connection).first() == b"next, please"


class Signer:
    """A key elsewhere that takes its time; ``release`` lets it answer."""

    def __init__(self, key, *, wait=False):
        self.key = key
        self.release = threading.Event()
        self.asked = threading.Event()
        self.threads = set()
        if not wait:
            self.release.set()

    def sign(self, data, scheme):
        self.threads.add(threading.current_thread())
        self.asked.set()
        assert self.release.wait(10)
        return sign(self.key, SignatureScheme(scheme), data)


def with_signer(credential, signer):
    return DTLSConfig(
        certificate=CertificateCredential(credential.chain, signer=signer), trust=credential.trust
    )


async def test_a_key_elsewhere_signs_in_a_thread_on_either_side():
    server_key, client_key = Signer(pki.publisher_rsa.private_key), Signer(pki.subscriber.private_key)
    accept = with_signer(pki.publisher_rsa, server_key)
    async with serving(accept=accept, on_connection=echo) as server, calling() as client:
        connection = await reach(client, server, with_signer(pki.subscriber, client_key))
        assert connection.peer == pki.publisher_rsa.identity
        assert threading.main_thread() not in server_key.threads | client_key.threads


async def test_a_slow_key_holds_up_nobody_else():
    signer = Signer(pki.subscriber.private_key, wait=True)
    async with serving(on_connection=echo) as server, calling() as slow, calling() as client:
        waiting = asyncio.create_task(reach(slow, server, with_signer(pki.subscriber, signer)))
        await until(signer.asked.is_set)
        connection = await reach(client, server)
        connection.send(b"fast")
        assert await Inbox.of(connection).first() == b"fast"
        signer.release.set()
        assert (await waiting).peer == pki.publisher_p256.identity


async def test_a_key_that_cannot_sign_ends_the_handshake_with_a_reason():
    class Broken:
        def sign(self, data, scheme):
            raise OSError("the token was pulled out")

    async with serving() as server, calling() as client:
        with pytest.raises(Exception, match="our own key could not sign"):
            await reach(client, server, with_signer(pki.subscriber, Broken()))
        await until(lambda: server.half_open == 0)


async def test_a_certificate_without_any_key_ends_the_handshake_with_a_reason():
    async with serving() as server, calling() as client:
        with pytest.raises(Exception, match="our own key could not sign"):
            await reach(client, server, with_signer(pki.subscriber, None))


async def test_an_endpoint_closes_while_a_key_is_still_signing():
    signer = Signer(pki.publisher_p256.private_key, wait=True)
    async with serving(accept=with_signer(pki.publisher_p256, signer)) as server:
        with await BareClient.at(server) as bare:
            await bare.bring_cookie()
            await until(signer.asked.is_set)
            await server.close()
            signer.release.set()


async def test_a_hint_that_a_peer_is_gone_does_not_end_a_complete_association():
    """An ICMP error can be forged by anybody who knows the two ports."""
    async with serving(on_connection=echo) as server:
        with await BareClient.at(server) as bare:
            await bare.shake_hands()
            await until(lambda: server.connections)
            [link] = server._switchboard.links
            server._switchboard._believe_unreachable(link.address, ConnectionRefusedError(111, "refused"))
            bare.tell(b"here I am")
            await bare.step()
            assert bare.events[-1].data == b"here I am"


async def test_a_peer_that_vanished_does_not_swallow_the_next_datagram_to_another():
    """The system reports the error of one address by failing the next send, whoever that one is for."""
    accepted = []
    async with serving(on_connection=accepted.append) as server, calling() as client:
        with await BareClient.at(server) as bare:
            await bare.shake_hands()
            await until(lambda: accepted)
        alive = await reach(client, server)
        await until(lambda: len(accepted) == 2)
        inbox = Inbox.of(alive)
        for number in range(20):
            accepted[0].send(b"to the one that is gone")
            accepted[1].send(b"%d" % number)
        await until(lambda: len(inbox.received) == 20)
        assert server.counters["datagrams not sent"] == 0


async def test_a_datagram_that_the_system_refuses_is_counted_and_costs_no_connection():
    ipv6_mtu = 24  # <linux/in6.h>
    async with serving(host="::1", on_connection=echo) as server, calling() as client:
        connection = await reach(client, server, host="::1")
        sock = client._switchboard.wire.socket
        sock.setsockopt(socket.IPPROTO_IPV6, ipv6_mtu, 1280)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DONTFRAG, 1)
        connection.send(bytes(2000))
        assert client.counters["datagrams not sent"] == 1
        connection.send(b"small enough")
        assert await Inbox.of(connection).first() == b"small enough"
