"""Verified chains that are remembered: nothing passes by memory that would not pass by being verified now."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import example, given
from hypothesis import strategies as st
from small_pki import NOT_AFTER, NOW, SERVER_AUTH, Credential, common_name, p256_key, small_pki

from twoway.pki import CertificateReason, CertificateRejected, Purpose, TrustStore
from twoway.pki.verified import REMEMBERED_FOR, VerifiedChains, VerifiedPeer

PKI = small_pki()
SECOND = timedelta(seconds=1)
STEPS = 12
"""Dates of certificates and moments of asking lie on a grid of half hours, around which memory ends, too."""


def on_grid(step: float) -> datetime:
    return NOW + step * timedelta(minutes=30)


def with_dates(name: str, start: int, end: int, *, of: str) -> tuple[Credential, x509.Certificate]:
    """A chain of leaf, issuing authority and root, one of which is in force between two steps alone."""
    dates = {"not_before": on_grid(start), "not_after": on_grid(end)}
    root_key, issuing_key = p256_key("dated root"), p256_key("dated issuing")
    root_name = common_name(f"{name} root")
    root = PKI.ca.authority(
        f"{name} root",
        root_key,
        signer=(root_name, root_key),
        path_length=1,
        **(dates if of == "root" else {}),
    )
    issuing = PKI.ca.authority(
        f"{name} issuing", issuing_key, signer=(root_name, root_key), **(dates if of == "issuing" else {})
    )
    leaf = PKI.ca.mint(name, issuer=(issuing, issuing_key), **(dates if of == "leaf" else {}))
    return leaf, root


DATED = [
    with_dates(f"{of}-{start}-{end}", start, end, of=of)
    for of in ("leaf", "issuing", "root")
    for start, end in ((0, 4), (3, 9))
]
SERVER_ONLY = PKI.ca.mint("server-only", usages=[SERVER_AUTH])
CHAINS = [
    *(leaf.chain for leaf, _ in DATED),
    *(leaf.chain[:1] for leaf, _ in DATED),
    SERVER_ONLY.chain,
    PKI.subscriber.chain,
    PKI.outsider.chain,
]
ROOTS = [*(root for _, root in DATED), PKI.ca.root]


def fresh_store() -> TrustStore:
    issuers = [x509.load_der_x509_certificate(leaf.chain[1]) for leaf, _ in DATED]
    return TrustStore(ROOTS, known=issuers)


def outcome(trust: TrustStore, chain, purpose, at) -> object:
    try:
        return trust.verify_untrusted(chain, purpose=purpose, at=at)
    except CertificateRejected as rejected:
        return rejected.reason


def recalled(trust: TrustStore, chain, *, purpose=Purpose.CLIENT, at=NOW, then=NOW) -> bool:
    """Whether a chain that passes twice passes the second time by memory: the very same value comes back."""
    first = trust.verify_peer_untrusted(chain, purpose=purpose, at=at)
    return trust.verify_peer_untrusted(chain, purpose=purpose, at=then) is first


questions = st.tuples(
    st.sampled_from(CHAINS),
    st.sampled_from(Purpose),
    st.integers(-1, STEPS),
    st.sampled_from([-SECOND, timedelta(0), timedelta(microseconds=1), SECOND]),
)


@given(st.lists(questions, min_size=2, max_size=8))
@example([(DATED[0][0].chain, Purpose.CLIENT, step, SECOND) for step in (0, 4)])
@example([(DATED[2][0].chain, Purpose.CLIENT, step, SECOND) for step in (3, 4)])
@example([(DATED[4][0].chain, Purpose.CLIENT, step, SECOND) for step in (3, 4)])
@example([(DATED[2][0].chain[:1], Purpose.CLIENT, step, SECOND) for step in (3, 4)])
@example([(DATED[1][0].chain, Purpose.CLIENT, step, timedelta(0)) for step in (3, 2)])
@example([(SERVER_ONLY.chain, purpose, 0, SECOND) for purpose in (Purpose.SERVER, Purpose.CLIENT)])
def test_whatever_was_asked_before_the_answer_is_that_of_a_store_without_a_memory(asked):
    """Invariant: a store that has answered questions answers the next one like a store that has not."""
    trust = fresh_store()
    for chain, purpose, step, beside in asked:
        at = on_grid(step) + beside
        assert outcome(trust, chain, purpose, at) == outcome(fresh_store(), chain, purpose, at)


def test_a_chain_that_comes_again_is_not_verified_again():
    assert recalled(PKI.ca.trust, PKI.sink.chain)
    assert recalled(PKI.ca.trust, list(PKI.sink.chain), then=NOW + REMEMBERED_FOR)


def test_memory_ends_however_long_the_certificates_last():
    assert not recalled(PKI.ca.trust, PKI.sink.chain, then=NOW + REMEMBERED_FOR + SECOND)


def test_a_clock_that_was_set_back_recalls_nothing():
    assert not recalled(PKI.ca.trust, PKI.sink.chain, then=NOW - SECOND)


def test_no_date_of_the_calendar_makes_remembering_fail():
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    root_key, name = p256_key("endless"), common_name("endless root")
    root = PKI.ca.authority("endless root", root_key, signer=(name, root_key), not_after=end)
    leaf = PKI.ca.mint("endless", issuer=(root, root_key), intermediates=[], not_after=end)
    assert recalled(TrustStore([root]), leaf.chain, at=end, then=end)


def test_the_key_that_comes_back_is_the_key_of_the_leaf():
    trust = PKI.ca.trust
    for _ in range(2):
        peer = trust.verify_peer_untrusted(PKI.publisher_rsa.chain, purpose=Purpose.SERVER, at=NOW)
        assert peer.public_key == PKI.publisher_rsa.private_key.public_key()
        assert peer.identity == PKI.publisher_rsa.identity


def test_a_certificate_that_differs_in_one_bit_is_not_taken_for_the_remembered_one():
    trust = PKI.ca.trust
    trust.verify_untrusted(PKI.sink.chain, purpose=Purpose.CLIENT, at=NOW)
    leaf, *others = PKI.sink.chain
    damaged = leaf[:-1] + bytes([leaf[-1] ^ 1])
    assert outcome(trust, (damaged, *others), Purpose.CLIENT, NOW) is CertificateReason.BAD_SIGNATURE


def test_bytes_cannot_move_from_one_certificate_into_the_next():
    trust = PKI.ca.trust
    trust.verify_untrusted(PKI.sink.chain, purpose=Purpose.CLIENT, at=NOW)
    first, second = PKI.sink.chain
    moved = (first[:-1], first[-1:] + second)
    assert outcome(trust, moved, Purpose.CLIENT, NOW) is CertificateReason.MALFORMED


def test_what_one_store_believes_another_does_not():
    PKI.other_ca.trust.verify_untrusted(PKI.outsider.chain, purpose=Purpose.CLIENT, at=NOW)
    assert outcome(PKI.ca.trust, PKI.outsider.chain, Purpose.CLIENT, NOW) is CertificateReason.UNKNOWN_CA


def test_a_chain_with_a_certificate_that_its_path_does_not_need_is_not_remembered():
    """Else one good certificate could push everybody else's out, by another companion each time."""
    assert not recalled(PKI.ca.trust, (*PKI.sink.chain, PKI.outsider.chain[1]))


@pytest.fixture
def path() -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(der) for der in PKI.sink.chain]


def named(number: int) -> VerifiedPeer:
    chain = (b"%d" % number,)
    identity = type(PKI.sink.identity)(f"urn:x:{number}", b"", chain, NOT_AFTER)
    return VerifiedPeer(identity, p256_key("sink").public_key())


def test_the_chain_that_was_asked_for_longest_ago_makes_room(path):
    kept = VerifiedChains(capacity=2)
    for number in (1, 2):
        kept.remember(named(number), path, purpose=Purpose.CLIENT, at=NOW)
    assert kept.recall((b"1",), purpose=Purpose.CLIENT, at=NOW)
    kept.remember(named(3), path, purpose=Purpose.CLIENT, at=NOW)
    there = [
        kept.recall((b"%d" % number,), purpose=Purpose.CLIENT, at=NOW) is not None for number in (1, 2, 3)
    ]
    assert there == [True, False, True]


def test_threads_that_share_a_memory_do_not_disturb_each_other(path):
    kept = VerifiedChains(capacity=2)

    def use(seed: int) -> None:
        for turn in range(4000):
            number = (seed + turn) % 5
            peer = kept.recall((b"%d" % number,), purpose=Purpose.CLIENT, at=NOW)
            assert peer is None or peer.identity.uri == f"urn:x:{number}"
            kept.remember(named(number), path, purpose=Purpose.CLIENT, at=NOW)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(use, range(4)))
    finally:
        sys.setswitchinterval(interval)
