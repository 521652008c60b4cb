"""A rotation: the new key is announced before it signs, the old one until its last ticket has expired."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from twoway.ac.sealing import SealingKey
from twoway.ac.signing_keys import RETIREMENT, SigningKeys, StoredKey, plan_rotation
from twoway.errors import ConfigurationError
from twoway.tickets import SigningKey

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OVERLAP = timedelta(hours=1)
SECOND = timedelta(seconds=1)
SEALING = SealingKey(bytes(32), where="sealing.key")
IDENTITY_KEY = ec.generate_private_key(ec.SECP256R1())
IDENTITY_KEY_ID = SigningKey(IDENTITY_KEY.public_key()).key_id


def rotated(stored: list[StoredKey], now: datetime = NOW, overlap: timedelta = OVERLAP) -> list[StoredKey]:
    return plan_rotation(
        stored,
        ec.generate_private_key(ec.SECP256R1()),
        identity_key_id=IDENTITY_KEY_ID,
        sealing=SEALING,
        now=now,
        overlap=overlap,
        entropy=os.urandom,
    )


def loaded(stored: list[StoredKey], sealing: SealingKey | None = SEALING) -> SigningKeys:
    return SigningKeys.load(stored, identity_key=IDENTITY_KEY, sealing=sealing)


def announced(stored: list[StoredKey], now: datetime) -> list[bytes]:
    return [key.key_id for key in loaded(stored).announced_at(now)]


def signer(stored: list[StoredKey], now: datetime) -> bytes:
    return loaded(stored).signer_at(now).key_id


def test_a_second_rotation_waits_for_the_first():
    once = rotated([])
    with pytest.raises(ConfigurationError, match="is announced and signs from 2026-03-01 01:00:00 UTC"):
        rotated(once, NOW + OVERLAP - SECOND)
    rotated(once, NOW + OVERLAP)


def test_a_new_key_does_not_sign_before_its_time():
    plan = rotated([])
    assert signer(plan, NOW + OVERLAP - SECOND) == IDENTITY_KEY_ID
    assert signer(plan, NOW + OVERLAP) == plan[1].key_id


def test_a_new_key_is_announced_at_once():
    plan = rotated([])
    assert announced(plan, NOW) == [IDENTITY_KEY_ID, plan[1].key_id]


def test_an_old_key_is_announced_until_its_last_ticket_has_expired():
    plan = rotated([])
    last_ticket_expires = NOW + OVERLAP + RETIREMENT
    assert announced(plan, last_ticket_expires - SECOND) == [IDENTITY_KEY_ID, plan[1].key_id]
    assert announced(plan, last_ticket_expires) == [plan[1].key_id]


def test_keys_that_are_gone_leave_the_plan():
    once = rotated([])
    twice = rotated(once, NOW + OVERLAP + RETIREMENT)
    assert twice[0].key_id == once[1].key_id
    assert len(rotated(once, NOW + OVERLAP + RETIREMENT - SECOND)) == 3


def test_without_a_rotation_the_identitys_key_signs():
    assert signer([], NOW) == IDENTITY_KEY_ID
    assert announced([], NOW) == [IDENTITY_KEY_ID]


def test_a_clock_that_was_set_back_leaves_a_key_that_signs():
    plan = rotated(rotated([]), NOW + RETIREMENT + OVERLAP)
    assert signer(plan[1:], NOW - timedelta(days=9)) == plan[1].key_id


def test_a_stored_key_opens_with_its_sealing_key_alone():
    plan = rotated([])
    with pytest.raises(ConfigurationError, match="sealing_key"):
        loaded(plan, sealing=None)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        loaded(plan, sealing=SealingKey(b"\x01" * 32, where="other"))


def test_a_stored_key_does_not_open_under_another_name():
    first, second = rotated([])
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        loaded([first, StoredKey(bytes(8), second.sealed, second.signs_from)])


def test_an_identity_with_another_key_than_the_plan_counts_on_is_refused():
    with pytest.raises(ConfigurationError, match="has another key"):
        SigningKeys.load(rotated([]), identity_key=ec.generate_private_key(ec.SECP256R1()), sealing=SEALING)


def test_no_key_is_shown():
    plan = rotated([])
    assert plan[1].sealed is not None
    assert repr(plan[1].sealed) not in repr(plan)
    assert "PrivateKey" not in repr(loaded(plan).signer_at(NOW))


@given(st.lists(st.integers(0, 400_000), max_size=5), st.integers(0, 2_000_000))
def test_whoever_signs_is_announced_and_was_announced_for_the_overlap(pauses, later):
    plan, now, announced_since = [], NOW, {IDENTITY_KEY_ID: NOW - OVERLAP}
    for pause in pauses:
        now += timedelta(seconds=pause)
        try:
            plan = rotated(plan, now)
        except ConfigurationError:
            continue
        announced_since[plan[-1].key_id] = now
    at = now + timedelta(seconds=later)
    key_id = signer(plan, at)
    assert key_id in announced(plan, at)
    assert announced_since[key_id] <= at - OVERLAP
