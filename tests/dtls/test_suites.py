"""The table of suites: its numbers and names, its order, and which of them are for old devices alone."""

from __future__ import annotations

import subprocess

import pytest
from cryptography.hazmat.primitives import hashes

from twoway.dtls import suites
from twoway.dtls.cbc import EncryptThenMAC, MACThenEncrypt
from twoway.dtls.keys import DirectionKeys
from twoway.dtls.suites import DEFAULT_SUITES, LEGACY_2013_SUITES, CipherSuite, KeyExchange

ALL = [value for value in vars(suites).values() if isinstance(value, CipherSuite)]
RFC_8442 = {
    "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256": 0xD001,
    "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384": 0xD002,
    "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256": 0xD003,
}
"""OpenSSL does not have these."""


@pytest.mark.peers
def test_numbers_and_names_are_those_that_openssl_knows():
    listed = subprocess.run(
        ["openssl", "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    known = dict(RFC_8442)
    for line in listed.stdout.splitlines():
        code, _, name, *_ = line.split()
        known[name] = int(code.replace(",0x", ""), 16)
    assert {suite.name: suite.code for suite in ALL} == {suite.name: known[suite.name] for suite in ALL}


def test_no_number_is_given_twice():
    assert len({suite.code for suite in ALL}) == len({suite.name for suite in ALL}) == len(ALL) == 27


@pytest.mark.parametrize("suite", ALL, ids=lambda suite: suite.name)
def test_what_a_suite_does_is_what_its_name_says(suite):
    exchange, _, cipher = suite.name.removeprefix("TLS_").partition("_WITH_")
    assert suite.key_exchange.name == exchange.upper()
    assert suite.key_bytes == (32 if "AES_256" in cipher or "CHACHA20" in cipher else 16)
    assert suite.is_cbc is ("CBC" in cipher)
    assert suite.prf_hash is (hashes.SHA384 if cipher.endswith("SHA384") else hashes.SHA256)
    if suite.is_cbc:
        assert suite.mac_key_bytes == (32 if cipher.endswith("SHA256") else 20)
        assert suite.fixed_iv_bytes == 0
    else:
        assert suite.mac_key_bytes == 0
        assert suite.fixed_iv_bytes == (12 if "CHACHA20" in cipher else 4)
        assert suite.cipher.tag_bytes == (8 if "CCM_8" in cipher else 16)


@pytest.mark.parametrize("suite", [suite for suite in ALL if suite.is_cbc], ids=lambda suite: suite.name)
def test_a_block_cipher_encrypts_before_or_after_its_mac_as_was_agreed_upon(suite):
    """RFC 7366 section 3. Two ends that are both wrong would understand each other."""
    keys = DirectionKeys(bytes(suite.mac_key_bytes), bytes(suite.key_bytes), b"")
    for encrypt_then_mac, kind in ((True, EncryptThenMAC), (False, MACThenEncrypt)):
        made = suite.protection(keys, encrypt_then_mac=encrypt_then_mac, entropy=bytes)
        assert type(made) is kind


def test_what_each_exchange_uses():
    by_certificate = {KeyExchange.ECDHE_ECDSA, KeyExchange.ECDHE_RSA, KeyExchange.RSA}
    by_psk = {KeyExchange.PSK, KeyExchange.ECDHE_PSK}
    assert {exchange for exchange in KeyExchange if exchange.uses_certificates} == by_certificate
    assert {exchange for exchange in KeyExchange if exchange.uses_psk} == by_psk
    assert {exchange for exchange in KeyExchange if not exchange.is_ephemeral} == {
        KeyExchange.RSA,
        KeyExchange.PSK,
    }


def test_by_default_every_suite_authenticates_with_aead_and_none_of_these_is_missing():
    assert set(DEFAULT_SUITES) == {
        suite for suite in ALL if not suite.is_cbc and suite.key_exchange is not KeyExchange.ECDH_ANON
    }
    assert len(set(DEFAULT_SUITES)) == len(DEFAULT_SUITES)
    assert not [suite for suite in DEFAULT_SUITES if suite.is_legacy]


def test_the_order_is_certificates_then_forward_secrecy_then_the_longer_tags():
    def rank(suite: CipherSuite) -> tuple[bool, bool, bool]:
        exchange = suite.key_exchange
        return not exchange.uses_certificates, not exchange.is_ephemeral, "CCM_8" in suite.name

    assert list(DEFAULT_SUITES) == sorted(DEFAULT_SUITES, key=rank)
    assert DEFAULT_SUITES[0] is suites.ECDHE_ECDSA_AES_128_GCM


def test_legacy_is_what_the_devices_of_2013_speak():
    legacy = {
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_RSA_WITH_AES_128_CBC_SHA",
    }
    assert {suite.name for suite in ALL if suite.is_legacy} == legacy
    assert {suite.name for suite in LEGACY_2013_SUITES} == legacy
