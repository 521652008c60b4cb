"""The order of messages: each one missing, repeated, misplaced or in the wrong epoch ends the handshake."""

from __future__ import annotations

import pytest
from dtls_cases import assert_never_connected, assert_refused, configs, run
from dtls_pair import Pair
from dtls_rogue import (
    Say,
    changed,
    in_epoch,
    inserted,
    missing,
    repeated,
    rogue_client,
    rogue_server,
    swapped,
)

from twoway.dtls import AlertDescription
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.states import ClientState, ServerState

UNEXPECTED = AlertDescription.UNEXPECTED_MESSAGE

SERVER_HELLO = HandshakeType.SERVER_HELLO
CERTIFICATE = HandshakeType.CERTIFICATE
SERVER_KEY_EXCHANGE = HandshakeType.SERVER_KEY_EXCHANGE
CERTIFICATE_REQUEST = HandshakeType.CERTIFICATE_REQUEST
SERVER_HELLO_DONE = HandshakeType.SERVER_HELLO_DONE
CLIENT_KEY_EXCHANGE = HandshakeType.CLIENT_KEY_EXCHANGE
CERTIFICATE_VERIFY = HandshakeType.CERTIFICATE_VERIFY
FINISHED = HandshakeType.FINISHED

FLIGHT_4 = [SERVER_HELLO, CERTIFICATE, SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST, SERVER_HELLO_DONE]
FLIGHT_5 = [CERTIFICATE, CLIENT_KEY_EXCHANGE, CERTIFICATE_VERIFY]


def from_server(say: Say, kind: str = "p-256") -> Pair:
    return run(Pair(*configs(kind), server_handshake=rogue_server(say)))


def from_client(say: Say, kind: str = "p-256") -> Pair:
    return run(Pair(*configs(kind), client_handshake=rogue_client(say)))


# --- missing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FLIGHT_4[:3], ids=lambda kind: kind.name)
def test_a_server_that_leaves_out_a_message_is_refused(kind):
    assert_refused(from_server(missing(kind)), by="client", alert=UNEXPECTED, why="was due")


def test_a_server_that_does_not_ask_for_our_certificate_is_refused():
    pair = from_server(missing(CERTIFICATE_REQUEST))
    assert_refused(pair, by="client", alert=AlertDescription.HANDSHAKE_FAILURE, why="only two-way")


@pytest.mark.parametrize("kind", [CERTIFICATE, CLIENT_KEY_EXCHANGE], ids=lambda kind: kind.name)
def test_a_client_that_leaves_out_a_message_is_refused(kind):
    assert_refused(from_client(missing(kind)), by="server", alert=UNEXPECTED, why="was due")


def test_a_client_that_leaves_out_both_certificate_and_its_proof_is_refused():
    def say(saying):
        return [] if saying[0] in (CERTIFICATE, CERTIFICATE_VERIFY) else [saying]

    assert_refused(from_client(say), by="server", alert=UNEXPECTED, why="Certificate was due")


def test_a_client_that_never_proves_its_key_is_never_admitted():
    """Its Finished is good; but ChangeCipherSpec does not count before CertificateVerify."""
    pair = from_client(missing(CERTIFICATE_VERIFY))
    assert_never_connected(pair)
    assert pair.server.association.state is ServerState.CERTIFICATE_VERIFY


@pytest.mark.parametrize("kind", ["p-256", "psk"])
def test_a_missing_finished_leaves_nobody_connected(kind):
    assert_never_connected(from_client(missing(FINISHED), kind))
    pair = from_server(missing(FINISHED), kind)
    assert not pair.client.connected


def test_without_server_hello_done_the_client_says_nothing():
    pair = from_server(missing(SERVER_HELLO_DONE))
    assert_never_connected(pair)
    assert pair.client.association.state is ClientState.SERVER_HELLO_DONE


def test_with_a_shared_key_missing_messages_are_found_as_well():
    assert_refused(from_server(missing(SERVER_HELLO), "psk"), by="client", alert=UNEXPECTED, why="was due")
    assert_never_connected(from_server(missing(SERVER_HELLO_DONE), "psk"))
    assert_never_connected(from_client(missing(CLIENT_KEY_EXCHANGE), "psk"))


# --- repeated ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FLIGHT_4[:-1], ids=lambda kind: kind.name)
def test_a_server_that_says_a_message_twice_is_refused(kind):
    assert_refused(from_server(repeated(kind)), by="client", alert=UNEXPECTED, why=f"sent {kind.label}")


@pytest.mark.parametrize("kind", FLIGHT_5, ids=lambda kind: kind.name)
def test_a_client_that_says_a_message_twice_is_refused(kind):
    assert_refused(from_client(repeated(kind)), by="server", alert=UNEXPECTED, why=f"sent {kind.label}")


def test_with_a_shared_key_a_server_that_says_its_hello_twice_is_refused():
    assert_refused(from_server(repeated(SERVER_HELLO), "psk"), by="client", alert=UNEXPECTED, why="was due")


@pytest.mark.parametrize("kind", ["p-256", "psk"])
def test_a_second_server_hello_done_is_refused(kind):
    """The client has answered the first by then, so the server finds a fault on its side as well."""
    pair = from_server(repeated(SERVER_HELLO_DONE), kind)
    assert_never_connected(pair)
    assert pair.client.closed.alert is UNEXPECTED


def test_with_a_shared_key_a_client_that_says_its_identity_twice_is_refused():
    pair = from_client(repeated(CLIENT_KEY_EXCHANGE), "psk")
    assert_refused(pair, by="server", alert=UNEXPECTED, why="was due")


def test_a_second_finished_changes_nothing():
    """It is a repetition as far as the server can tell: nothing is derived from it."""
    pair = from_client(repeated(FINISHED))
    assert pair.server.connected
    assert not pair.client.connected, "the rogue counted its second Finished, the server did not"


# --- out of order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(3))
def test_a_server_that_swaps_two_messages_is_refused(at):
    pair = from_server(swapped(FLIGHT_4[at], FLIGHT_4[at + 1]))
    assert_refused(pair, by="client", alert=UNEXPECTED, why=f"sent {FLIGHT_4[at + 1].label}")


def test_a_server_that_asks_for_our_certificate_too_late_is_refused():
    pair = from_server(swapped(CERTIFICATE_REQUEST, SERVER_HELLO_DONE))
    assert_refused(pair, by="client", alert=AlertDescription.HANDSHAKE_FAILURE, why="only two-way")


@pytest.mark.parametrize("at", range(2))
def test_a_client_that_swaps_two_messages_is_refused(at):
    pair = from_client(swapped(FLIGHT_5[at], FLIGHT_5[at + 1]))
    assert_refused(pair, by="server", alert=UNEXPECTED, why=f"sent {FLIGHT_5[at + 1].label}")


# --- foreign messages -------------------------------------------------------------------------------------

FOREIGN_TO_CLIENT = [1, 15, 16, 20, 4, 22, 67, 255]
FOREIGN_TO_SERVER = [0, 1, 2, 3, 12, 13, 14, 20, 4, 22, 67, 255]


@pytest.mark.parametrize("foreign", FOREIGN_TO_CLIENT)
@pytest.mark.parametrize("before", FLIGHT_4, ids=lambda kind: kind.name)
def test_a_message_that_no_server_sends_there_is_refused_in_every_state(before, foreign):
    assert_refused(from_server(inserted(before, foreign)), by="client", alert=UNEXPECTED, why="was due")


@pytest.mark.parametrize("foreign", FOREIGN_TO_SERVER)
@pytest.mark.parametrize("before", FLIGHT_5, ids=lambda kind: kind.name)
def test_a_message_that_no_client_sends_there_is_refused_in_every_state(before, foreign):
    assert_refused(from_client(inserted(before, foreign)), by="server", alert=UNEXPECTED, why="was due")


def test_a_certificate_in_a_handshake_by_shared_key_is_refused_by_both_roles():
    pair = from_client(inserted(CLIENT_KEY_EXCHANGE, CERTIFICATE, b"\x00\x00\x00"), "psk")
    assert_refused(pair, by="server", alert=UNEXPECTED, why="Certificate")
    for extra in (CERTIFICATE, CERTIFICATE_REQUEST):
        pair = from_server(inserted(SERVER_HELLO_DONE, extra, b"\x00\x00\x00"), "psk")
        assert_refused(pair, by="client", alert=UNEXPECTED, why="Certificate")


@pytest.mark.parametrize("kind", FLIGHT_4, ids=lambda kind: kind.name)
def test_a_server_message_that_cannot_be_read_is_refused(kind):
    pair = from_server(changed(kind, lambda body: body + b"\x00"))
    assert_refused(pair, by="client", alert=AlertDescription.DECODE_ERROR, why="the peer's")


@pytest.mark.parametrize("kind", FLIGHT_5, ids=lambda kind: kind.name)
def test_a_client_message_that_cannot_be_read_is_refused(kind):
    pair = from_client(changed(kind, lambda body: body + b"\x00"))
    assert_refused(pair, by="server", alert=AlertDescription.DECODE_ERROR, why="the peer's")


# --- the wrong epoch --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FLIGHT_5, ids=lambda kind: kind.name)
def test_a_message_that_travels_under_the_new_keys_too_early_does_not_count(kind):
    pair = from_client(in_epoch(kind, 1))
    assert not pair.server.connected
    assert not pair.client.connected


@pytest.mark.parametrize("kind", ["p-256", "psk"])
def test_a_finished_without_protection_does_not_count(kind):
    """After ChangeCipherSpec the old epoch brings nothing new."""
    pair = from_client(in_epoch(FINISHED, 0), kind)
    assert_never_connected(pair)
    assert pair.server.counters["dropped: handshake message of the epoch before"]
    assert not from_server(in_epoch(FINISHED, 0), kind).client.connected
