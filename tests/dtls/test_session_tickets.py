"""Session tickets: sealed under keys that change and that workers agree upon; anything else is refused."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st
from sessions import SESSION, session
from small_pki import NOW

from twoway.dtls import session_tickets
from twoway.dtls.session import SessionUnusable
from twoway.dtls.session_tickets import MAX_INTERVAL, MAX_INVALIDATED, MIN_INTERVAL, SessionTickets
from twoway.errors import CallerError, ConfigurationError

SECRET = bytes(range(32))
HOUR = timedelta(hours=1)
ENTROPY = random.Random(7).randbytes
HEADER_BYTES = 21


def worker(secret: bytes = SECRET, since: datetime = NOW, **changes: object) -> SessionTickets:
    return SessionTickets(secret, since=since, **changes)  # type: ignore[arg-type]


def issue(tickets: SessionTickets, at: datetime = NOW, **changes: object) -> bytes:
    return tickets.issue(session(**changes), at=at, entropy=ENTROPY)


def refusal(tickets: SessionTickets, ticket: bytes, at: datetime = NOW) -> str:
    with pytest.raises(SessionUnusable) as caught:
        tickets.accept_untrusted(ticket, at=at)
    return str(caught.value)


def test_a_ticket_brings_its_session_back():
    tickets = worker()
    assert tickets.accept_untrusted(issue(tickets), at=NOW) == SESSION


def expand(key: bytes, info: bytes) -> bytes:
    return HKDFExpand(hashes.SHA256(), 32, info).derive(key)


def test_a_ticket_is_laid_out_and_its_keys_are_derived_as_the_module_says():
    """By default a key is in use for an hour."""
    at = NOW + HOUR
    ticket = issue(worker(), at)
    assert ticket[:5] == b"\x01" + int(at.timestamp() // 3600).to_bytes(4, "big")
    of_interval = expand(
        expand(SECRET, b"twoway session tickets, first interval"), b"twoway session tickets, next interval"
    )
    of_ticket = expand(of_interval, b"twoway session tickets, one ticket" + ticket[5:HEADER_BYTES])
    inner = AESGCM(of_ticket).decrypt(bytes(12), ticket[HEADER_BYTES:], ticket[:HEADER_BYTES])
    assert inner == SESSION.encode()


def test_a_ticket_from_before_the_secret_was_made_is_refused():
    tickets = worker()
    ticket = bytearray(issue(tickets))
    ticket[1:5] = (int.from_bytes(ticket[1:5], "big") - 1).to_bytes(4, "big")
    assert "not in use" in refusal(tickets, bytes(ticket))


def test_workers_with_one_secret_take_each_others_tickets_whenever_they_started():
    first, second = worker(), worker()
    for hours in range(50):
        at = NOW + hours * HOUR
        assert second.accept_untrusted(issue(first, at), at=at) == SESSION
        assert first.accept_untrusted(issue(worker(), at), at=at) == SESSION
        assert worker().accept_untrusted(issue(first, at), at=at + HOUR) == SESSION


def test_a_key_seals_for_one_interval_and_opens_for_one_more():
    tickets = worker()
    ticket = issue(tickets)
    assert tickets.is_fresh(ticket, at=NOW)
    assert tickets.accept_untrusted(ticket, at=NOW + HOUR) == SESSION
    assert not tickets.is_fresh(ticket, at=NOW + HOUR)
    assert "not in use" in refusal(tickets, ticket, NOW + 2 * HOUR)
    assert "not in use" in refusal(worker(), ticket, NOW + 2 * HOUR)


def test_a_ticket_of_an_interval_to_come_is_refused():
    assert "not in use" in refusal(worker(), issue(worker(), NOW + HOUR), NOW)


def test_a_clock_that_goes_back_does_not_bring_old_keys_back():
    tickets = worker()
    old = issue(tickets)
    tickets.accept_untrusted(issue(tickets, NOW + 2 * HOUR), at=NOW + 2 * HOUR)
    assert "not in use" in refusal(tickets, old, NOW)
    assert tickets.accept_untrusted(issue(tickets, NOW), at=NOW) == SESSION


def test_keys_that_were_let_go_cannot_be_found_in_what_is_kept():
    tickets = worker()
    tickets._advance(NOW)
    first = tickets._key
    tickets._advance(NOW + 2 * HOUR)
    kept = [value for value in vars(tickets).values() if isinstance(value, bytes)]
    assert len(kept) == 2
    assert first not in kept
    assert SECRET not in kept


def test_no_byte_of_a_ticket_can_be_changed():
    tickets = worker()
    ticket = issue(tickets)
    for position in range(len(ticket)):
        for bit in (0x01, 0x80):
            damaged = bytearray(ticket)
            damaged[position] ^= bit
            refusal(tickets, bytes(damaged))


def test_the_version_is_authenticated_and_not_only_compared(monkeypatch):
    tickets = worker()
    ticket = issue(tickets)
    assert "not one of ours" in refusal(tickets, b"\x02" + ticket[1:])
    monkeypatch.setattr(session_tickets, "_VERSION", 2)
    assert "not authentic" in refusal(tickets, b"\x02" + ticket[1:])


def test_a_ticket_that_was_cut_or_lengthened_is_refused():
    tickets = worker()
    ticket = issue(tickets)
    for length in range(len(ticket)):
        refusal(tickets, ticket[:length])
    refusal(tickets, ticket + b"\x00")
    assert "not one of ours" in refusal(tickets, ticket[: HEADER_BYTES + 16])


def test_two_tickets_cannot_be_put_together():
    tickets = worker()
    one, other = issue(tickets), issue(tickets, peer=session().peer, master_secret=bytes(48))
    assert len(one) == len(other)
    for at in range(6, len(one)):  # before that there is nothing in which they differ
        refusal(tickets, one[:at] + other[at:])


def test_a_ticket_under_another_secret_is_refused():
    assert "not authentic" in refusal(worker(), issue(worker(bytes(32))))


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(data):
    refusal(worker(), data)
    refusal(worker(), issue(worker())[:5] + data)


def test_a_ticket_of_another_version_of_the_session_is_refused(monkeypatch):
    tickets = worker()
    monkeypatch.setattr("twoway.dtls.session._VERSION", 2)
    ticket = issue(tickets)
    monkeypatch.undo()
    assert "another version" in refusal(tickets, ticket)


def test_each_ticket_has_a_salt_of_its_own_and_shows_nothing():
    tickets = worker()
    one, other = issue(tickets), issue(tickets)
    assert one[5:HEADER_BYTES] != other[5:HEADER_BYTES]
    assert one[HEADER_BYTES:-16] != other[HEADER_BYTES:-16], "one key and nonce would show what differs"
    for readable in (SESSION.master_secret, SESSION.peer.uri.encode(), SESSION.peer.spki[-64:]):
        assert readable not in one


def test_a_session_that_went_wrong_is_not_taken_back_and_others_are():
    tickets = worker()
    wrong, good = issue(tickets), issue(tickets, master_secret=bytes(48))
    tickets.invalidate(session())
    assert "went wrong" in refusal(tickets, wrong)
    assert "went wrong" in refusal(tickets, issue(tickets))
    assert tickets.accept_untrusted(good, at=NOW).master_secret == bytes(48)


def test_invalid_sessions_are_remembered_within_a_bound_and_without_their_secrets():
    tickets = worker()
    for number in range(MAX_INVALIDATED + 1):
        tickets.invalidate(session(master_secret=number.to_bytes(48, "big")))
    assert len(tickets._invalidated) == MAX_INVALIDATED
    first, last = (number.to_bytes(48, "big") for number in (0, MAX_INVALIDATED))
    assert tickets.accept_untrusted(issue(tickets, master_secret=first), at=NOW)
    assert "went wrong" in refusal(tickets, issue(tickets, master_secret=last))
    assert last not in tickets._invalidated


def test_a_secret_that_is_short_and_intervals_out_of_reason_are_refused():
    with pytest.raises(ConfigurationError, match="less than 32 bytes"):
        worker(bytes(31))
    for interval in (MIN_INTERVAL - 1, MAX_INTERVAL + 1):
        with pytest.raises(ConfigurationError, match="after 10 minutes to a week"):
            worker(interval=interval)
    with pytest.raises(CallerError, match="this one is naive"):
        worker(since=datetime(2026, 1, 1))  # noqa: DTZ001 naive on purpose
    for interval in (MIN_INTERVAL, MAX_INTERVAL):
        tickets = worker(interval=interval)
        assert tickets.accept_untrusted(issue(tickets), at=NOW) == SESSION


def test_the_secret_is_not_shown():
    tickets = worker()
    for value in (SECRET, tickets._key):
        assert repr(value)[2:-1] not in repr(tickets)


def test_intervals_are_the_same_in_every_time_zone():
    elsewhere = NOW.astimezone(UTC).astimezone()
    assert worker().accept_untrusted(issue(worker(), elsewhere), at=NOW) == SESSION
