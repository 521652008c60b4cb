"""A configuration that could not work, or would not be two-way, is refused when it is made."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from dtls_pair import (
    NOW,
    certificate_of,
    client_config,
    psk_client_config,
    psk_server_config,
    server_config,
)
from small_pki import small_pki

from twoway.dtls import (
    Association,
    CertificateCredential,
    DTLSConfig,
    HandshakeKind,
    KeyExchange,
    Legacy2013Profile,
    PSKCredential,
    RawKeyCredential,
    suites,
)
from twoway.dtls.config import MAX_MTU_BYTES, MIN_MTU_BYTES
from twoway.errors import CallerError, ConfigurationError


def test_a_certificate_without_anchors_and_anchors_without_a_certificate_are_refused():
    pki = small_pki()
    with pytest.raises(ConfigurationError, match="belong together; give both or neither"):
        DTLSConfig(certificate=certificate_of(pki.subscriber))
    with pytest.raises(ConfigurationError, match="belong together"):
        DTLSConfig(trust=pki.trust, psk=PSKCredential(b"name", bytes(16)))


def test_without_any_credential_there_is_nothing_to_speak_with():
    with pytest.raises(ConfigurationError, match="no credential; give a certificate or a pre-shared key"):
        DTLSConfig()


@pytest.mark.parametrize(
    "changes",
    [
        {"mtu_bytes": MIN_MTU_BYTES - 1},
        {"mtu_bytes": MAX_MTU_BYTES + 1},
        {"groups": ()},
        {"signature_schemes": ()},
        {"suites": ()},
        {"suites": (suites.PSK_AES_128_GCM,)},
        {"suites": suites.LEGACY_2013_SUITES},
    ],
    ids=str,
)
def test_values_that_contradict_each_other_are_refused(changes):
    with pytest.raises(ConfigurationError):
        client_config(**changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"mtu_bytes": MIN_MTU_BYTES - 1}, "between 64 and 16384"),
        ({"mtu_bytes": MAX_MTU_BYTES + 1}, "between 64 and 16384"),
        ({"record_size_limit": 0}, "between 64 and 16384"),
        ({"record_size_limit": 63}, "between 64 and 16384"),
        ({"record_size_limit": 2**14 + 1}, "between 64 and 16384"),
        ({"max_fragment_length": 0}, "512, 1024, 2048 or 4096"),
        ({"max_fragment_length": 511}, "512, 1024, 2048 or 4096"),
        ({"max_fragment_length": 2**13}, "512, 1024, 2048 or 4096"),
        ({"admit": frozenset()}, "no kind of handshake"),
        ({"groups": ()}, "at least one group and one signature scheme"),
        ({"signature_schemes": ()}, "at least one group and one signature scheme"),
        ({"suites": ()}, "no cipher suite is left"),
        ({"suites": suites.LEGACY_2013_SUITES}, "the legacy profile alone; see Legacy2013Profile"),
        ({"suites": (*suites.DEFAULT_SUITES, suites.RSA_AES_128_CBC_SHA)}, "the legacy profile alone"),
    ],
    ids=str,
)
def test_a_value_that_makes_no_sense_is_refused_with_its_reason(changes, why):
    with pytest.raises(ConfigurationError, match=why):
        client_config(**changes)


@pytest.mark.parametrize("kind", HandshakeKind)
def test_only_the_full_kind_needs_both_a_proof_and_a_judgement(kind):
    """A client of the one-sided kind judges, its server proves; nobody does either for the anonymous one."""
    pki, admit = small_pki(), frozenset({kind})
    for half in ({"certificate": certificate_of(pki.subscriber)}, {"trust": pki.trust}):
        if kind is HandshakeKind.FULL:
            with pytest.raises(ConfigurationError, match="belong together"):
                DTLSConfig(admit=admit, **half)
        else:
            DTLSConfig(admit=admit, **half)
    if kind is HandshakeKind.ANONYMOUS:
        DTLSConfig(admit=admit)
    else:
        with pytest.raises(ConfigurationError, match="no credential"):
            DTLSConfig(admit=admit)


def test_raw_keys_and_pins_belong_together_too():
    key = RawKeyCredential.of(small_pki().subscriber.private_key)
    with pytest.raises(ConfigurationError, match="belong together"):
        DTLSConfig(raw_key=key)
    with pytest.raises(ConfigurationError, match="belong together"):
        DTLSConfig(raw_key_pins=frozenset({key.pin}))
    DTLSConfig(raw_key=key, raw_key_pins=frozenset({key.pin}))
    DTLSConfig(raw_key=key, trust=small_pki().trust)


@pytest.mark.parametrize("size", [2**16, 2**16 + 1])
def test_a_name_that_does_not_fit_its_field_is_refused(size):
    with pytest.raises(ConfigurationError, match="less than 65,536 bytes"):
        PSKCredential(bytes(size), bytes(16))
    PSKCredential(bytes(2**16 - 1), bytes(16))


@pytest.mark.parametrize("size", [0, 1, 15, 65, 1000])
def test_a_key_that_is_too_short_or_too_long_is_refused_without_showing_it(size):
    with pytest.raises(ConfigurationError, match=f"not {size}") as caught:
        PSKCredential(b"name", b"k" * size)
    assert "kkk" not in str(caught.value)


def test_a_key_of_another_certificate_and_an_empty_chain_are_refused():
    pki = small_pki()
    with pytest.raises(ConfigurationError, match="not the key"):
        CertificateCredential(pki.subscriber.chain, pki.sink.private_key)
    with pytest.raises(ConfigurationError, match="at least one"):
        CertificateCredential((), pki.sink.private_key)


@pytest.mark.parametrize(
    ("suite", "needed"),
    [(suites.RSA_AES_128_CBC_SHA, 78), (suites.RSA_AES_128_CBC_SHA256, 90)],
    ids=["HMAC-SHA1", "HMAC-SHA256"],
)
def test_a_suite_that_needs_more_than_the_mtu_is_refused_with_the_number(suite, needed):
    """Both headers of 25 bytes, an IV and a block of padding of 16 each, the MAC, and a byte to carry."""
    pki = small_pki()
    made = {"certificate": certificate_of(pki.publisher_rsa), "trust": pki.trust, "suites": (suite,)}
    too_small = f"the MTU is {needed - 1} bytes, and .* at least {needed}; configure a larger one"
    with pytest.raises(ConfigurationError, match=too_small):
        Legacy2013Profile(**made, mtu_bytes=needed - 1)
    Legacy2013Profile(**made, mtu_bytes=needed)


@pytest.mark.parametrize("make", [psk_client_config, psk_server_config])
def test_the_mtu_has_room_for_the_suites_of_either_role(make):
    config = make(suites=(suites.ECDHE_PSK_AES_128_CBC_SHA256,), mtu_bytes=90)
    with pytest.raises(ConfigurationError, match="at least 90"):
        replace(config, mtu_bytes=89)


def test_values_at_their_bounds_are_taken():
    for bounds in (
        {"mtu_bytes": MIN_MTU_BYTES, "record_size_limit": 64, "max_fragment_length": 512},
        {"mtu_bytes": MAX_MTU_BYTES, "record_size_limit": 2**14, "max_fragment_length": 4096},
    ):
        config = client_config(**bounds)
        assert {name: getattr(config, name) for name in bounds} == bounds


def test_suites_are_those_that_the_credentials_can_serve():
    pki = small_pki()
    by_exchange = {
        exchange: tuple(suite for suite in suites.DEFAULT_SUITES if suite.key_exchange is exchange)
        for exchange in KeyExchange
    }
    ecdsa, rsa = by_exchange[KeyExchange.ECDHE_ECDSA], by_exchange[KeyExchange.ECDHE_RSA]
    psk = by_exchange[KeyExchange.ECDHE_PSK] + by_exchange[KeyExchange.PSK]
    assert server_config().usable_suites(is_client=False) == ecdsa
    assert server_config(pki.publisher_rsa).usable_suites(is_client=False) == rsa
    assert psk_server_config().usable_suites(is_client=False) == psk
    assert psk_client_config().usable_suites(is_client=True) == psk
    assert set(client_config().usable_suites(is_client=True)) == {*ecdsa, *rsa}
    assert psk_server_config().usable_suites(is_client=True) == ()


def test_a_client_without_anything_to_prove_itself_with_is_the_callers_error():
    with pytest.raises(CallerError, match="no credential for a client"):
        Association.client(psk_server_config(), entropy=random.Random(1).randbytes, wall_clock=lambda: NOW)
