"""The server's own store of sessions: bounded, and nothing is found after its end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sessions import SESSION, session
from small_pki import NOW

from twoway.dtls.session_store import MemorySessionStore
from twoway.errors import ConfigurationError


def test_a_session_is_found_by_its_id_alone():
    store = MemorySessionStore()
    store.keep(b"one", SESSION)
    assert store.find(b"one", NOW) == SESSION
    assert store.find(b"two", NOW) is None
    assert store.find(b"", NOW) is None


def test_a_session_that_ended_is_neither_found_nor_kept():
    store = MemorySessionStore()
    store.keep(b"one", session(not_after=NOW + timedelta(seconds=1)))
    assert store.find(b"one", NOW) is not None
    assert store.find(b"one", NOW + timedelta(seconds=1)) is None
    assert len(store) == 0


def test_a_forgotten_session_is_not_found():
    store = MemorySessionStore()
    store.keep(b"one", SESSION)
    store.forget(b"one")
    store.forget(b"never there")
    assert store.find(b"one", NOW) is None


def test_a_full_store_lets_go_of_what_was_not_used_for_longest():
    store = MemorySessionStore(capacity=2)
    store.keep(b"one", SESSION)
    store.keep(b"two", SESSION)
    store.find(b"one", NOW)
    store.keep(b"three", SESSION)
    assert len(store) == 2
    assert store.find(b"two", NOW) is None
    assert store.find(b"one", NOW) is not None


def test_a_store_without_room_is_refused():
    with pytest.raises(ConfigurationError, match="at least one session"):
        MemorySessionStore(capacity=0)
    store = MemorySessionStore(capacity=1)
    store.keep(b"one", SESSION)
    assert store.find(b"one", NOW) == SESSION
