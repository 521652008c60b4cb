"""Sessions and identities as values, for tests of what keeps, seals and judges them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from small_pki import NOW, small_pki

from twoway.dtls import suites
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.session import Session
from twoway.identity import Identity, PSKIdentity, RawPublicKeyIdentity, Unauthenticated, X509Identity

SESSION = Session(
    suite=suites.ECDHE_ECDSA_AES_128_GCM.code,
    master_secret=bytes(range(48)),
    encrypt_then_mac=False,
    max_fragment_length=None,
    kind=HandshakeKind.FULL,
    peer=small_pki().subscriber.identity,
    not_after=NOW + timedelta(hours=1),
    context=bytes(16),
)
"""A session of the subscriber's that ends in an hour."""


def session(**changes: Any) -> Session:
    return replace(SESSION, **changes)


TIMES = st.integers(0, 253_402_300_799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
KEYS = st.one_of(
    st.sampled_from([small_pki().subscriber.spki, small_pki().publisher_rsa.spki]),
    st.binary(min_size=1, max_size=400).map(lambda rest: b"\x30" + rest),
)
IDENTITIES: st.SearchStrategy[Identity] = st.one_of(
    st.builds(
        X509Identity,
        uri=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300),
        spki=KEYS,
        chain=st.just(()),
        not_after=TIMES,
        hosts=st.lists(st.text("abc.-:0123456789", min_size=1, max_size=255), max_size=5).map(tuple),
    ),
    st.builds(PSKIdentity, st.binary(max_size=300)),
    st.builds(RawPublicKeyIdentity, KEYS),
    st.just(Unauthenticated()),
)
SESSIONS = st.builds(
    Session,
    suite=st.integers(0, 0xFFFF),
    master_secret=st.binary(min_size=48, max_size=48),
    encrypt_then_mac=st.booleans(),
    max_fragment_length=st.sampled_from([None, 512, 1024, 2048, 4096]),
    kind=st.sampled_from([HandshakeKind.FULL, HandshakeKind.SERVER_AUTHENTICATED]),
    peer=IDENTITIES,
    not_after=TIMES,
    context=st.binary(min_size=16, max_size=16),
)
