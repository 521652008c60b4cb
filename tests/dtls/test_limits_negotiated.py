"""Limits of a record's length: record_size_limit (RFC 8449) and max_fragment_length (RFC 6066)."""

from __future__ import annotations

import pytest
from dtls_cases import assert_refused, run
from dtls_pair import Pair, client_config, server_config
from dtls_rogue import client_hello, rogue_client, rogue_server, server_hello, with_extension, without

from twoway.dtls import AlertDescription
from twoway.dtls.config import FRAGMENT_LENGTHS
from twoway.dtls.handshaking import Handshaking
from twoway.dtls.messages.hello import ExtensionType

LIMIT, LENGTH = ExtensionType.RECORD_SIZE_LIMIT, ExtensionType.MAX_FRAGMENT_LENGTH
ILLEGAL = AlertDescription.ILLEGAL_PARAMETER
DECODE_ERROR = AlertDescription.DECODE_ERROR
UNSUPPORTED = AlertDescription.UNSUPPORTED_EXTENSION


@pytest.fixture
def bounds(monkeypatch) -> dict[str, tuple[int | None, int | None]]:
    """What each side told its records, as it was told: (sent, received)."""
    told: dict[str, tuple[int | None, int | None]] = {}
    original = Handshaking.limit_plaintext

    def limit_plaintext(self, *, sent, received):
        told["client" if self.handshake.is_client else "server"] = (sent, received)
        original(self, sent=sent, received=received)

    monkeypatch.setattr(Handshaking, "limit_plaintext", limit_plaintext)
    return told


def offering(extension: ExtensionType, data: bytes, **configs) -> Pair:
    rogue = rogue_client(**client_hello(extensions=with_extension(extension, data)))
    return run(Pair(server=server_config(**configs), client_handshake=rogue))


def answering(extension: ExtensionType, data: bytes, **client) -> Pair:
    rogue = rogue_server(server_hello(extensions=with_extension(extension, data)))
    return run(Pair(client_config(**client), server_handshake=rogue))


# --- record_size_limit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "server"), [(64, 64), (256, 128), (2**14, 512), (300, None)])
def test_each_side_is_told_the_others_limit(client, server, bounds):
    pair = Pair(client_config(record_size_limit=client), server_config(record_size_limit=server)).connect()
    assert bounds == {"client": (server or 2**14, client), "server": (client, server)}
    assert pair.works()


def test_without_a_clients_offer_there_is_no_limit(bounds):
    pair = Pair(client_config(), server_config(record_size_limit=128)).connect()
    assert bounds == {}
    assert LIMIT not in pair.client.handshake._hello.extensions


def test_a_server_that_does_not_answer_bounds_nobody(bounds):
    rogue = rogue_server(server_hello(extensions=without(LIMIT)))
    Pair(client_config(record_size_limit=100), server_handshake=rogue).connect()
    assert "client" not in bounds


@pytest.mark.parametrize("limit", [0, 1, 63])
def test_a_limit_below_64_is_refused_by_both_roles(limit):
    data = limit.to_bytes(2, "big")
    assert_refused(offering(LIMIT, data), by="server", alert=ILLEGAL, why=f"{limit} bytes is below 64")
    pair = answering(LIMIT, data, record_size_limit=100)
    assert_refused(pair, by="client", alert=ILLEGAL, why=f"{limit} bytes is below 64")


@pytest.mark.parametrize("limit", [64, 65, 2**14, 2**14 + 1, 2**16 - 1])
def test_a_limit_of_64_or_more_is_taken_and_no_record_grows_by_it(limit, bounds):
    """RFC 8449 section 4: a server takes what is too large; another version of the protocol may allow it."""
    offering(LIMIT, limit.to_bytes(2, "big"))
    assert bounds["server"] == (min(limit, 2**14), None)
    answering(LIMIT, limit.to_bytes(2, "big"), record_size_limit=100)
    assert bounds["client"] == (min(limit, 2**14), 100)


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x00\x00"])
def test_a_malformed_limit_is_refused_by_both_roles(data):
    assert_refused(offering(LIMIT, data), by="server", alert=DECODE_ERROR, why="record_size_limit")
    pair = answering(LIMIT, data, record_size_limit=100)
    assert_refused(pair, by="client", alert=DECODE_ERROR, why="record_size_limit")


def test_a_limit_that_was_not_asked_for_is_refused():
    assert_refused(answering(LIMIT, b"\x01\x00"), by="client", alert=UNSUPPORTED, why="not offered")


# --- max_fragment_length ----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", FRAGMENT_LENGTHS)
def test_a_length_bounds_both_directions(length, bounds):
    pair = Pair(client_config(max_fragment_length=length)).connect()
    assert bounds == {"client": (length, length), "server": (length, length)}
    assert pair.works()


@pytest.mark.parametrize("data", [b"\x00", b"\x05", b"\xff", b"", b"\x01\x01"])
def test_a_length_that_does_not_exist_is_refused_by_both_roles(data):
    why = "not one that exists"
    assert_refused(offering(LENGTH, data), by="server", alert=ILLEGAL, why=why)
    pair = answering(LENGTH, data, max_fragment_length=512)
    assert_refused(pair, by="client", alert=ILLEGAL, why=why)


@pytest.mark.parametrize("code", [2, 3, 4])
def test_a_length_other_than_the_one_asked_for_is_refused(code):
    pair = answering(LENGTH, bytes([code]), max_fragment_length=512)
    assert_refused(pair, by="client", alert=ILLEGAL, why="another max_fragment_length")


def test_a_length_that_was_not_asked_for_is_refused():
    assert_refused(answering(LENGTH, b"\x01"), by="client", alert=UNSUPPORTED, why="not offered")


# --- both -------------------------------------------------------------------------------------------------


def test_of_both_the_newer_is_answered(bounds):
    """RFC 8449 section 5: max_fragment_length is not even read then."""
    Pair(client_config(record_size_limit=100, max_fragment_length=512)).connect()
    assert bounds == {"client": (2**14, 100), "server": (100, None)}
    rogue = rogue_client(**client_hello(extensions=with_extension(LENGTH, b"\x09")))
    Pair(client_config(record_size_limit=100), client_handshake=rogue).connect()


def test_a_server_that_knows_the_older_alone_is_answered_to(bounds):
    rogue = rogue_client(**client_hello(extensions=without(LIMIT)))
    client = client_config(record_size_limit=100, max_fragment_length=512)
    Pair(client, client_handshake=rogue).connect()
    assert bounds == {"client": (512, 512), "server": (512, 512)}


def test_both_answers_at_once_are_refused():
    pair = answering(LENGTH, b"\x01", record_size_limit=100, max_fragment_length=512)
    assert_refused(pair, by="client", alert=ILLEGAL, why="both limits")
