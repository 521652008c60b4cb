"""Peers that send their leaf alone: the party's own chain fills in what they leave out, and nothing more."""

from __future__ import annotations

import pytest
from small_pki import NOW, Flaw, small_pki

from twoway.pki import CertificateReason, CertificateRejected, Purpose, TrustStore

PKI = small_pki()
KNOWING = PKI.trust.knowing(PKI.publisher_p256.chain)


def verify(trust: TrustStore, chain):
    return trust.verify_untrusted(chain, purpose=Purpose.CLIENT, at=NOW)


def test_a_leaf_alone_is_accepted_by_who_knows_its_issuer():
    assert verify(KNOWING, PKI.subscriber.chain[:1]).uri == PKI.subscriber.uri


def test_a_leaf_alone_is_refused_by_who_does_not():
    with pytest.raises(CertificateRejected) as caught:
        verify(PKI.trust, PKI.subscriber.chain[:1])
    assert caught.value.reason is CertificateReason.UNKNOWN_CA


def test_knowing_an_authority_is_not_trusting_it():
    outsiders = TrustStore.from_pem(PKI.ca.ca_pem).knowing(PKI.outsider.chain)
    with pytest.raises(CertificateRejected) as caught:
        verify(outsiders, PKI.outsider.chain[:1])
    assert caught.value.reason is CertificateReason.UNKNOWN_CA


def test_a_known_authority_is_judged_like_one_that_was_sent():
    expired = PKI.flawed(Flaw.EXPIRED_ISSUER)
    with pytest.raises(CertificateRejected) as caught:
        verify(PKI.trust.knowing(expired.chain), expired.chain[:1])
    assert caught.value.reason is CertificateReason.EXPIRED


def test_what_the_peer_sends_is_not_replaced_by_what_is_known():
    chain = PKI.flawed(Flaw.OTHER_CA_SAME_NAMES).chain
    with pytest.raises(CertificateRejected) as caught:
        verify(KNOWING, chain)
    assert caught.value.reason is CertificateReason.UNKNOWN_CA


def test_an_identity_folder_knows_its_own_issuer(tmp_path):
    stored = PKI.stored(PKI.publisher_p256, tmp_path / "publisher")
    assert verify(stored.trust, PKI.subscriber.chain[:1]).uri == PKI.subscriber.uri


def test_of_two_authorities_of_one_name_the_sent_one_alone_is_tried():
    """Else a peer could make the search for a path branch at every name."""
    forged = PKI.flawed(Flaw.OTHER_CA_SAME_NAMES).chain[1]
    with pytest.raises(CertificateRejected):
        verify(KNOWING, (PKI.subscriber.chain[0], forged))
