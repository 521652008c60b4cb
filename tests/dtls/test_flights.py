"""Flights fit the MTU, arrive as they were, and their timer doubles."""

from __future__ import annotations

import random

import pytest
from dtls_pair import Pair, client_config, psk_client_config, psk_server_config, server_config
from small_pki import small_pki

from twoway.dtls.config import MIN_MTU_BYTES
from twoway.dtls.flights import CHANGE_CIPHER_SPEC_BODY, Flight, FlightItem
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType, parse_fragments_untrusted
from twoway.dtls.reassembly import Reassembler
from twoway.dtls.record import HEADER_BYTES, ContentType

OVERHEAD = {0: 0, 1: 24}.__getitem__


def flight_of(*sizes: int | None) -> Flight:
    """A flight of messages of these sizes; None is a ChangeCipherSpec, after which epoch 1 begins."""
    dice, items, epoch = random.Random(1), [], 0
    for seq, size in enumerate(sizes):
        if size is None:
            items.append(FlightItem(0, None))
            epoch = 1
        else:
            items.append(FlightItem(epoch, HandshakeMessage(11, seq, dice.randbytes(size))))
    return Flight(tuple(items), awaits_answer=True)


@pytest.mark.parametrize(
    "sizes",
    [
        (0,),
        (0, 0, 0),
        (40,),
        (90, 900, 330, 14, 0),
        (900, 33, 74, None, 12),
        (None, 12),
        (None, 90),
        (2000, None),
    ],
)
def test_at_every_mtu_datagrams_fit_and_hold_exactly_the_flight(sizes):
    flight = flight_of(*sizes)
    for mtu in range(MIN_MTU_BYTES, 1401):
        datagrams = list(flight.pack(mtu, OVERHEAD))
        for pieces in datagrams:
            assert pieces, "an empty datagram says nothing"
            size = sum(HEADER_BYTES + OVERHEAD(piece.epoch) + len(piece.plaintext) for piece in pieces)
            assert size <= mtu
        assert unpacked(datagrams) == list(flight.items)


def unpacked(datagrams):
    items, reassembler = [], None
    for piece in (piece for pieces in datagrams for piece in pieces):
        if piece.type is ContentType.CHANGE_CIPHER_SPEC:
            assert piece.plaintext == CHANGE_CIPHER_SPEC_BODY
            items.append(FlightItem(piece.epoch, None))
            continue
        (fragment,) = parse_fragments_untrusted(piece.plaintext)
        reassembler = reassembler or Reassembler(fragment.message_seq)
        # In `sizes` a ChangeCipherSpec has a place, but on the wire it has no number.
        reassembler.next_seq = max(reassembler.next_seq, fragment.message_seq)
        reassembler.add(fragment)
        if (message := reassembler.next_message()) is not None:
            items.append(FlightItem(piece.epoch, message))
    return items


def test_a_flight_that_fits_travels_as_one_datagram():
    assert len(list(flight_of(90, 330, 14, 0).pack(1200, OVERHEAD))) == 1


def test_a_message_that_fits_the_rest_of_a_datagram_to_the_byte_is_put_into_it():
    flight, size = flight_of(20, 10), 2 * (HEADER_BYTES + 12) + 30
    assert [len(pieces) for pieces in flight.pack(size, OVERHEAD)] == [2]
    assert [len(pieces) for pieces in flight.pack(size - 1, OVERHEAD)] == [1, 1]


def test_the_end_of_a_message_is_put_into_the_rest_of_a_datagram_however_short_it_is():
    """The peer's limit cuts the message; of 32 bytes a beginning must be, but not an end."""
    flight, size = flight_of(60), 2 * (HEADER_BYTES + 12) + 60
    assert [len(pieces) for pieces in flight.pack(size, OVERHEAD, limit_bytes=12 + 50)] == [2]


@pytest.mark.parametrize("mtu", [MIN_MTU_BYTES, 200, 256, 400, 576, 1200, 1400])
@pytest.mark.parametrize("kind", ["p-256", "rsa", "psk"])
def test_a_handshake_succeeds_at_every_mtu_that_can_be_configured(kind, mtu):
    configs = {
        "p-256": (client_config(mtu_bytes=mtu), server_config(mtu_bytes=mtu)),
        "rsa": (
            client_config(small_pki().publisher_rsa, mtu_bytes=mtu),
            server_config(small_pki().publisher_rsa, mtu_bytes=mtu),
        ),
        "psk": (psk_client_config(mtu_bytes=mtu), psk_server_config(mtu_bytes=mtu)),
    }
    pair = Pair(*configs[kind]).connect()
    assert max(len(datagram.data) for datagram in pair.sent) <= mtu


# --- what is sent instead of a flight ---------------------------------------------------------------------


def messages_of(*kinds: HandshakeType | None) -> Flight:
    """A flight of such messages; None is a ChangeCipherSpec."""
    items = [FlightItem(0, kind and HandshakeMessage(kind, seq, b"")) for seq, kind in enumerate(kinds)]
    return Flight(tuple(items), awaits_answer=True)


@pytest.mark.parametrize(
    ("kinds", "is_answer_last"),
    [
        ((HandshakeType.CLIENT_HELLO,), False),
        ((HandshakeType.SERVER_HELLO, HandshakeType.SERVER_HELLO_DONE), False),
        ((HandshakeType.CLIENT_KEY_EXCHANGE, None, HandshakeType.FINISHED), True),
        ((HandshakeType.SERVER_HELLO, None, HandshakeType.FINISHED), True),
    ],
    ids=["hello", "full, server", "full, client", "resumed, server"],
)
def test_whoever_answers_a_finished_has_no_timer_for_that(kinds, is_answer_last):
    assert messages_of(*kinds).is_answer_last is is_answer_last


def test_a_reminder_is_the_last_message_alone():
    flight = messages_of(HandshakeType.CLIENT_KEY_EXCHANGE, None, HandshakeType.FINISHED)
    assert flight.reminder.items == flight.items[-1:]
