"""A hello from an address that has an association already: RFC 6347 section 4.2.8."""

import os
from datetime import UTC, datetime

import pytest
from live_endpoints import BareClient, Inbox, calling, dtls_config, echo, reach, serving, until
from small_pki import small_pki

from twoway.dtls import Association, DTLSConfig, Retransmission
from twoway.errors import RefusedError

pki = small_pki()


def restarted(bare: BareClient, config: DTLSConfig | None = None) -> BareClient:
    """The same address after its owner has lost every memory of the association."""
    config = config or dtls_config(pki.subscriber)
    engine = Association.client(config, entropy=os.urandom, wall_clock=lambda: datetime.now(UTC))
    return BareClient(bare.sock, engine)


async def test_a_restarted_client_gets_a_new_association_and_the_old_one_goes():
    accepted = []

    def take(connection):
        accepted.append(connection)
        echo(connection)

    async with serving(on_connection=take) as server:
        with await BareClient.at(server) as bare:
            await bare.shake_hands()
            again = restarted(bare)
            await again.shake_hands()
            old, new = accepted
            assert old.closed.reason == "a newer handshake with this address is complete"
            assert new.closed is None
            assert server.connections == (new,)
            again.tell(b"it is me")
            while len(again.events) < 2:
                await again.step()
            assert again.events[1].data == b"it is me"


async def test_the_old_association_lives_until_the_new_one_is_complete():
    async with serving(on_connection=echo) as server:
        with await BareClient.at(server) as bare:
            await bare.shake_hands()
            stranger = restarted(bare)
            await stranger.bring_cookie()
            await until(lambda: server.half_open == 1)
            bare.tell(b"still mine")
            while len(bare.events) < 2:
                await bare.step()
            assert bare.events[1].data == b"still mine"
            assert len(server.connections) == 1


async def test_a_second_handshake_that_fails_changes_nothing():
    accepted = []
    async with serving(on_connection=accepted.append) as server:
        with await BareClient.at(server) as bare:
            await bare.shake_hands()
            outsider = restarted(bare, dtls_config(pki.outsider))
            await outsider.bring_cookie()
            while not outsider.association.is_closed:
                await outsider.step()
            await until(lambda: server.half_open == 0)
            assert accepted[0].closed is None
            inbox = Inbox.of(accepted[0])
            bare.tell(b"undisturbed")
            assert await inbox.first() == b"undisturbed"


async def test_a_forged_hello_from_a_known_address_is_only_answered_with_a_cookie():
    async with serving(on_connection=echo) as server:
        with await BareClient.at(server) as bare:
            await bare.shake_hands()
            restarted(bare).say_hello()
            assert (await bare.hear())[13] == 3
            assert (server.half_open, len(server.connections)) == (0, 1)


async def test_a_recorded_hello_does_not_start_another_handshake():
    """Whoever recorded a hello with its cookie could otherwise have us sign for it again and again."""
    async with serving(on_connection=echo) as server:
        with await BareClient.at(server) as bare:
            await bare.bring_cookie()
            recorded = bare.sent[-1]
            while not bare.association.established:
                await bare.step()
            bare.send(recorded)
            bare.tell(b"x")
            while len(bare.events) < 2:
                await bare.step()
            assert (server.half_open, len(server.connections)) == (0, 1)


async def test_a_client_that_starts_anew_half_way_does_not_wait_for_its_own_leftovers():
    async with serving() as server:
        with await BareClient.at(server) as bare:
            await bare.bring_cookie()
            await until(lambda: server.half_open == 1)
            await bare.forget_what_came()
            again = restarted(bare)
            again.say_hello()
            while not again.association.established:
                await again.step()
            await until(lambda: len(server.connections) == 1)
            assert server.half_open == 0


async def test_a_retransmitted_hello_is_answered_by_the_handshake_that_it_began():
    async with serving() as server:
        with await BareClient.at(server) as bare:
            await bare.bring_cookie()
            first_flight = [await bare.hear()]
            bare.association.handle_timer(bare.now + 2)
            bare.flush()
            assert server.half_open == 1
            # The flight comes again: were it lost, the client would go on from here.
            second = await bare.hear()
            while second[13] != first_flight[0][13]:
                second = await bare.hear()
            assert server.half_open == 1


async def test_our_own_second_handshake_replaces_the_first_on_both_sides():
    accepted = []
    async with serving(on_connection=accepted.append) as server, calling() as client:
        first = await reach(client, server)
        second = await reach(client, server, dtls_config(pki.sink))
        assert first.closed.reason == "a newer handshake with this address is complete"
        await until(lambda: len(server.connections) == 1)
        assert server.connections[0].peer == pki.sink.identity
        assert client.connections == (second,)


async def test_our_own_second_handshake_that_is_refused_leaves_the_first():
    async with serving(on_connection=echo) as server, calling() as client:
        first = await reach(client, server)
        with pytest.raises(RefusedError):
            await reach(client, server, dtls_config(pki.outsider))
        first.send(b"undisturbed")
        assert await Inbox.of(first).first() == b"undisturbed"


async def test_two_endpoints_may_each_open_a_connection_to_the_other():
    """Publishers accept, and push: both directions live beside each other between the same two ports."""
    config = dtls_config(pki.sink)
    options = {"on_connection": echo, "accept": config}
    async with serving(**options) as one, serving(**options) as other:
        opened = [await reach(here, there, config) for here, there in ((one, other), (other, one))]
        for connection in opened:
            connection.send(b"ping")
            assert await Inbox.of(connection).first() == b"ping"
        await until(lambda: len(one.connections) == len(other.connections) == 2)


# --- whose hello comes in pieces --------------------------------------------------------------------------


def narrow() -> DTLSConfig:
    """A client whose datagrams hold 64 bytes, which makes several of a hello."""
    return dtls_config(pki.subscriber, mtu_bytes=64)


async def test_a_client_whose_hello_comes_in_pieces_is_served():
    async with serving(on_connection=echo) as server, calling() as client:
        connection = await reach(client, server, narrow())
        connection.send(b"ping")
        assert await Inbox.of(connection).first() == b"ping"
        assert server.counters["pieces of hellos"] >= 2
        assert not any(name.startswith("dropped") for name in server.counters)


async def test_a_client_that_restarts_with_a_hello_in_pieces_gets_a_new_association():
    accepted = []
    async with serving(on_connection=accepted.append) as server:
        with await BareClient.at(server, narrow()) as bare:
            await bare.shake_hands()
            again = restarted(bare, narrow())
            await again.shake_hands()
            await until(lambda: len(accepted) == 2)
            old, new = accepted
            assert old.closed.reason == "a newer handshake with this address is complete"
            assert server.connections == (new,)


async def test_pieces_of_another_hello_do_not_disturb_the_association_at_that_address():
    async with serving(on_connection=echo) as server:
        with await BareClient.at(server, narrow()) as bare:
            await bare.shake_hands()
            restarted(bare, narrow()).say_hello()
            assert (await bare.hear())[13] == 3
            bare.tell(b"undisturbed")
            while len(bare.events) < 2:
                await bare.step()
            assert bare.events[1].data == b"undisturbed"
            assert (server.half_open, len(server.connections)) == (0, 1)


async def test_pieces_of_another_hello_do_not_disturb_a_handshake_under_way():
    async with serving() as server:
        with await BareClient.at(server, narrow()) as bare:
            await bare.bring_cookie()
            await until(lambda: server.half_open == 1)
            stranger = restarted(bare, narrow())
            stranger.association.start(stranger.now)
            for piece in stranger.association.datagrams_to_send()[:-1]:
                bare.send(piece)
            while not bare.association.established:
                await bare.step()
            await until(lambda: len(server.connections) == 1)


async def test_a_repeated_hello_in_pieces_is_answered_by_the_handshake_that_it_began():
    patient = dtls_config(pki.publisher_p256, retransmission=Retransmission(initial=30.0))
    async with serving(accept=patient) as server:
        with await BareClient.at(server, narrow()) as bare:
            await bare.bring_cookie()
            await until(lambda: server.half_open == 1)
            (link,) = server._switchboard.links
            await bare.forget_what_came()
            bare.association.handle_timer(bare.now + 2)
            for piece in reversed(bare.association.datagrams_to_send()):
                bare.send(piece)
            await until(lambda: link.association.counters["flights resent"] == 1)
            assert server.half_open == 1
            while not bare.association.established:
                await bare.step()
