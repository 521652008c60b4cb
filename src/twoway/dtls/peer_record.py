"""A peer's identity as bytes: what a session ticket and a saved association carry.

In the presentation language of RFC 5246 section 4, integers big-endian::

    uint8 type;                        0 unauthenticated, 1 certificate, 2 pre-shared key, 3 raw public key
    select (type) {
        case 1:  PublicKey spki;
                 uint64 not_after;     seconds since 1970, whole ones: what is left over is dropped
                 opaque uri<1..2^16-1>;
                 opaque hosts<0..2^16-1>;       of opaque host<1..2^8-1>
        case 2:  opaque psk_identity<0..2^16-1>;
        case 3:  PublicKey spki;
    }

``PublicKey`` is opaque<1..2^16-1>: DER SubjectPublicKeyInfo, or for a P-256 key its uncompressed point
alone, 65 bytes from 04, without the 26 bytes that are the same in front of each of them.

The chain is not carried: everything above reads the other fields. Nor is anything here a proof; whoever
reads these bytes has to know by their seal that they were written here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.wire import Reader, vector
from twoway.identity import Identity, PSKIdentity, RawPublicKeyIdentity, Unauthenticated, X509Identity

_UNAUTHENTICATED: Final = 0
_X509: Final = 1
_PSK: Final = 2
_RAW_PUBLIC_KEY: Final = 3
_NAME: Final = "record of a peer"

_P256_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""AlgorithmIdentifier of id-ecPublicKey with secp256r1 and the BIT STRING's head (RFC 5480 section 2)."""
_POINT_BYTES: Final = 65
_UNCOMPRESSED: Final = b"\x04"  # SEC 1 section 2.3.3; DER begins with 30
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31 23:59:59, where RFC 5280 section 4.1.2.5 ends, too


def encode_identity(identity: Identity) -> bytes:
    """Write an identity; the module says how."""
    match identity:
        case X509Identity():
            hosts = b"".join(vector(1, host.encode()) for host in identity.hosts)
            return (
                bytes([_X509])
                + _encode_key(identity.spki)
                + encode_time(identity.not_after)
                + vector(2, identity.uri.encode())
                + vector(2, hosts)
            )
        case PSKIdentity():
            return bytes([_PSK]) + vector(2, identity.psk_identity)
        case RawPublicKeyIdentity():
            return bytes([_RAW_PUBLIC_KEY]) + _encode_key(identity.spki)
        case Unauthenticated():
            return bytes([_UNAUTHENTICATED])


def parse_identity_untrusted(data: bytes) -> Identity:
    """Read an identity; one of a certificate comes back without its chain.

    Raises:
        HandshakeFailure: these are not exactly the bytes of an identity.
    """
    reader = Reader(data, _NAME)
    identity = _parse_untrusted(reader)
    reader.end_untrusted()
    return identity


def encode_time(moment: datetime) -> bytes:
    """Write an aware time in 8 bytes: whole seconds since 1970."""
    return int(moment.timestamp()).to_bytes(8, "big")


def parse_time_untrusted(reader: Reader) -> datetime:
    """Read a time in UTC.

    Raises:
        HandshakeFailure: it is beyond the year 9999.
    """
    seconds = reader.integer_untrusted(8)
    if seconds > _LAST_SECOND:
        raise _malformed("a time beyond the year 9999")
    return datetime.fromtimestamp(seconds, UTC)


def _parse_untrusted(reader: Reader) -> Identity:
    kind = reader.integer_untrusted(1)
    if kind == _X509:
        spki = _parse_key_untrusted(reader)
        not_after = parse_time_untrusted(reader)
        uri = _text_untrusted(reader.vector_untrusted(2, at_least=1))
        listed = Reader(reader.vector_untrusted(2), _NAME)
        hosts = []
        while listed.remaining:
            hosts.append(_text_untrusted(listed.vector_untrusted(1, at_least=1)))
        return X509Identity(uri, spki, (), not_after, tuple(hosts))
    if kind == _PSK:
        return PSKIdentity(reader.vector_untrusted(2))
    if kind == _RAW_PUBLIC_KEY:
        return RawPublicKeyIdentity(_parse_key_untrusted(reader))
    if kind == _UNAUTHENTICATED:
        return Unauthenticated()
    raise _malformed(f"a type {kind} that does not exist")


def _encode_key(spki: bytes) -> bytes:
    is_p256 = spki.startswith(_P256_PREFIX + _UNCOMPRESSED) and len(spki) == len(_P256_PREFIX) + _POINT_BYTES
    return vector(2, spki[len(_P256_PREFIX) :] if is_p256 else spki)


def _parse_key_untrusted(reader: Reader) -> bytes:
    key = reader.vector_untrusted(2, at_least=1)
    return _P256_PREFIX + key if key.startswith(_UNCOMPRESSED) and len(key) == _POINT_BYTES else key


def _text_untrusted(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _malformed("a name that is not text") from None


def _malformed(what: str) -> HandshakeFailure:
    return HandshakeFailure(AlertDescription.DECODE_ERROR, f"the {_NAME} has {what}")
