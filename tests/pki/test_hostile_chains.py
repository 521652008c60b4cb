"""Whatever bytes a peer sends as its chain: CertificateRejected and nothing else, and never another peer."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pki import NOW, Flaw, p256_key, small_pki

from twoway.pki import CertificateReason, CertificateRejected, Purpose

PKI = small_pki()
GENUINE = [
    *PKI.sink.chain,
    *PKI.publisher_rsa.chain,
    *PKI.outsider.chain,
    PKI.ca.root.public_bytes(Encoding.DER),
]
GENUINE += [certificate for flaw in Flaw for certificate in PKI.flawed(flaw).chain[:1]]


def judge(chain, purpose=Purpose.CLIENT):
    """The identity of an accepted chain, or None; any other exception fails the test."""
    try:
        return PKI.trust.verify_untrusted(chain, purpose=purpose, at=NOW)
    except CertificateRejected as rejected:
        rejection = rejected
    assert isinstance(rejection.reason, CertificateReason)
    assert "\n" not in str(rejection)
    return None


@st.composite
def damaged(draw):
    """A genuine certificate with up to four bytes changed, removed or put in."""
    der = bytearray(draw(st.sampled_from(GENUINE)))
    for _ in range(draw(st.integers(1, 4))):
        where = draw(st.integers(0, len(der) - 1))
        match draw(st.sampled_from(["change", "remove", "insert", "cut"])):
            case "change":
                der[where] = draw(st.integers(0, 255))
            case "remove" if len(der) > 1:
                del der[where]
            case "insert":
                der.insert(where, draw(st.integers(0, 255)))
            case "cut":
                del der[max(where, 1) :]
    return bytes(der)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=7), st.sampled_from(Purpose))
def test_any_bytes_as_a_chain_are_refused(chain, purpose):
    assert judge(chain, purpose) is None


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(GENUINE), damaged()), max_size=6), st.sampled_from(Purpose))
def test_any_mixture_of_genuine_and_damaged_certificates_names_only_real_peers(chain, purpose):
    identity = judge(chain, purpose)
    if identity is not None:
        assert chain[0] in GENUINE
        assert identity.chain == tuple(chain)


@pytest.mark.parametrize(
    "credential",
    [PKI.publisher_p256, PKI.publisher_p384, PKI.publisher_ed25519, PKI.publisher_rsa],
    ids=["p-256", "p-384", "ed25519", "rsa-2048"],
)
def test_no_change_of_a_byte_in_the_leaf_is_accepted_as_somebody_else(credential):
    leaf, *rest = credential.chain
    for position in range(len(leaf)):
        for flip in (0x01, 0x80, 0xFF):
            mutant = bytearray(leaf)
            mutant[position] ^= flip
            identity = judge([bytes(mutant), *rest], Purpose.SERVER)
            if identity is not None:
                assert (identity.uri, identity.spki) == (credential.uri, credential.spki)
                assert identity.not_after == credential.leaf.not_valid_after_utc
                assert identity.hosts == credential.identity.hosts


def test_no_change_of_a_byte_in_the_issuing_authority_makes_it_vouch_for_another_leaf():
    leaf, issuing = PKI.sink.chain
    for position in range(len(issuing)):
        mutant = bytearray(issuing)
        mutant[position] ^= 0x01
        identity = judge([leaf, bytes(mutant)])
        assert identity is None or (identity.uri, identity.spki) == (PKI.sink.uri, PKI.sink.spki)


def test_a_leaf_cut_short_anywhere_is_refused():
    leaf, *rest = PKI.sink.chain
    assert all(judge([leaf[:length], *rest]) is None for length in range(len(leaf)))


def test_authorities_that_signed_each_other_in_a_ring_are_refused():
    keys = [p256_key(f"ring {number}") for number in range(3)]
    ring = [
        PKI.ca.authority(
            f"ring {number}",
            keys[number],
            signer=(
                PKI.ca.authority(f"ring {number - 1 if number else 2}", keys[number - 1]).subject,
                keys[number - 1],
            ),
            path_length=None,
        )
        for number in range(3)
    ]
    chain = PKI.ca.mint("ringed", issuer=(ring[0], keys[0]), intermediates=ring).chain
    assert judge(chain) is None
    assert judge([chain[0], *reversed(chain[1:])]) is None
