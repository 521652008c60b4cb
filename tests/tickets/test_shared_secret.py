"""What an AC and a publisher share, and the keys that come of it."""

import hashlib
import hmac

import pytest

from twoway.errors import ConfigurationError
from twoway.strict_cbor import encode
from twoway.tickets import Algorithm, SharedSecret
from twoway.tickets.encrypt0 import IV_BYTES
from twoway.tickets.shared_secret import MAX_PUBLISHER_BYTES

SECRET = SharedSecret(bytes(range(16)))


def hkdf(key: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256 and no salt, by hand."""
    pseudorandom = hmac.digest(bytes(32), key, "sha256")
    okm, block = b"", b""
    for counter in range(1, 1 + -(-length // 32)):
        block = hmac.digest(pseudorandom, block + info + bytes([counter]), "sha256")
        okm += block
    return okm[:length]


def test_the_key_of_a_holder_is_derived_as_rfc_9202_says():
    token = b"the ticket, byte for byte"
    for length in (16, 32, 40):
        # ["ACE-CoAP-DTLS-key-derivation", L, access_token] in deterministic CBOR
        head = b"\x83\x78\x1c" + b"ACE-CoAP-DTLS-key-derivation"
        info = head + encode(length) + encode(token)
        assert SECRET.pop_key(token, length) == hkdf(SECRET.key_derivation_key(), info, length)
    assert len(SECRET.pop_key(token)) == 16


def test_each_purpose_has_a_key_of_its_own():
    keys = [
        SECRET.token_key(),
        SECRET.key_id(),
        SECRET.key_derivation_key(),
        SECRET.pop_key(b"t"),
        SECRET.association_key(),
        SECRET.secret,
    ]
    assert len({key[:8] for key in keys}) == len(keys)
    assert [len(key) for key in keys] == [16, 8, 32, 16, 16, 16]


def test_the_key_of_an_association_is_derived_under_its_own_label():
    info = encode(["twoway association key", int(SECRET.algorithm), 16])
    assert SECRET.association_key() == hkdf(SECRET.secret, info, 16)


def test_the_name_of_that_key_tells_publisher_and_secret_and_nothing_of_the_key():
    other = SharedSecret(bytes(range(1, 17)))
    name = SECRET.association_name("urn:dev:org:32473-host")
    assert name == b"urn:dev:org:32473-host#" + SECRET.key_id().hex().encode()
    assert name != other.association_name("urn:dev:org:32473-host")
    assert SECRET.association_key().hex()[:8] not in name.decode()


def test_the_name_of_the_longest_publisher_fits_where_every_stack_takes_it():
    """RFC 4279 section 5.3."""
    assert len(SECRET.association_name("u" * MAX_PUBLISHER_BYTES)) == 128


def test_two_algorithms_never_share_a_key():
    secrets = [SharedSecret(SECRET.secret, algorithm) for algorithm in IV_BYTES]
    assert len({secret.token_key() for secret in secrets}) == 3


def test_other_tickets_and_other_publishers_have_other_keys():
    other = SharedSecret(hashlib.sha256(b"other").digest())
    assert len({SECRET.pop_key(b"a"), SECRET.pop_key(b"b"), other.pop_key(b"a"), other.pop_key(b"b")}) == 4


def test_a_short_secret_or_another_algorithm_is_a_fault_of_the_configuration():
    with pytest.raises(ConfigurationError, match="16 random bytes"):
        SharedSecret(bytes(15))
    with pytest.raises(ConfigurationError, match="ES256"):
        SharedSecret(bytes(16), Algorithm.ES256)


def test_a_secret_is_not_shown():
    assert "secret=" not in repr(SharedSecret(b"0123456789abcdef"))
    assert "0123" not in repr(SharedSecret(b"0123456789abcdef"))


@pytest.mark.parametrize(
    ("derive", "label", "length"),
    [
        (SharedSecret.token_key, "twoway token key", 16),
        (SharedSecret.key_id, "twoway key name", 8),
        (SharedSecret.key_derivation_key, "twoway key derivation", 32),
    ],
)
def test_the_two_who_share_a_secret_derive_the_same_keys_whatever_their_version(derive, label, length):
    """They are two programs: another label, order or salt in one of them, and no ticket opens any more."""
    info = b"\x83" + encode(label) + encode(30) + encode(length)
    assert derive(SECRET) == hkdf(SECRET.secret, info, length)
