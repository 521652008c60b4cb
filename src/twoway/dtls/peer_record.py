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

Whoever starts anew reads thousands of them at once, so they are cut with `struct` and slices. A slice beyond
the end comes out short without a word; it is noticed because the last field has to end where the bytes do.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Final

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.wire import Reader, vector
from twoway.identity import Identity, PSKIdentity, RawPublicKeyIdentity, Unauthenticated, X509Identity

_UNAUTHENTICATED: Final = 0
_X509: Final = 1
_PSK: Final = 2
_RAW_PUBLIC_KEY: Final = 3
_NOBODY: Final = bytes([_UNAUTHENTICATED])
_NAME: Final = "record of a peer"

_TYPE_AND_LENGTH = struct.Struct(">BH")
_TIME_AND_LENGTH = struct.Struct(">QH")
_LENGTH = struct.Struct(">H")

_P256_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""AlgorithmIdentifier of id-ecPublicKey with secp256r1 and the BIT STRING's head (RFC 5480 section 2)."""
_POINT_BYTES: Final = 65
_UNCOMPRESSED: Final = b"\x04"  # SEC 1 section 2.3.3; DER begins with 30
_P256_SPKI_PREFIX: Final = _P256_PREFIX + _UNCOMPRESSED
_P256_SPKI_BYTES: Final = len(_P256_PREFIX) + _POINT_BYTES
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31 23:59:59, where RFC 5280 section 4.1.2.5 ends, too


def encode_identity(identity: Identity) -> bytes:
    """Write an identity; the module says how."""
    match identity:
        case X509Identity():
            key, uri = _short_key(identity.spki), identity.uri.encode()
            hosts = b"".join([vector(1, host.encode()) for host in identity.hosts])
            return b"".join(
                (
                    _TYPE_AND_LENGTH.pack(_X509, len(key)),
                    key,
                    _TIME_AND_LENGTH.pack(_seconds(identity.not_after), len(uri)),
                    uri,
                    _LENGTH.pack(len(hosts)),
                    hosts,
                )
            )
        case PSKIdentity():
            return _TYPE_AND_LENGTH.pack(_PSK, len(identity.psk_identity)) + identity.psk_identity
        case RawPublicKeyIdentity():
            key = _short_key(identity.spki)
            return _TYPE_AND_LENGTH.pack(_RAW_PUBLIC_KEY, len(key)) + key
        case Unauthenticated():
            return _NOBODY


def parse_identity_untrusted(data: bytes) -> Identity:
    """Read an identity; one of a certificate comes back without its chain.

    Raises:
        HandshakeFailure: these are not exactly the bytes of an identity.
    """
    try:
        identity, end = _parse_untrusted(data)
    except struct.error:
        raise _malformed("a length that is cut off") from None
    if end != len(data):
        raise _malformed("another length than it says")
    return identity


def encode_time(moment: datetime) -> bytes:
    """Write an aware time in 8 bytes: whole seconds since 1970."""
    return _seconds(moment).to_bytes(8, "big")


def parse_time_untrusted(reader: Reader) -> datetime:
    """Read a time in UTC.

    Raises:
        HandshakeFailure: it is beyond the year 9999.
    """
    return _time_untrusted(reader.integer_untrusted(8))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _time_untrusted(seconds: int) -> datetime:
    if seconds > _LAST_SECOND:
        raise _malformed("a time beyond the year 9999")
    return datetime.fromtimestamp(seconds, UTC)


def _parse_untrusted(data: bytes) -> tuple[Identity, int]:
    """Return the identity, and where it should have ended."""
    if data == _NOBODY:
        return Unauthenticated(), len(_NOBODY)
    kind, length = _TYPE_AND_LENGTH.unpack_from(data)
    end = _TYPE_AND_LENGTH.size + length
    first = data[_TYPE_AND_LENGTH.size : end]
    if kind == _X509:
        return _parse_x509_untrusted(data, _whole_key_untrusted(first), end)
    if kind == _PSK:
        return PSKIdentity(first), end
    if kind == _RAW_PUBLIC_KEY:
        return RawPublicKeyIdentity(_whole_key_untrusted(first)), end
    raise _malformed(f"a type {kind} that does not exist")


def _parse_x509_untrusted(data: bytes, spki: bytes, position: int) -> tuple[X509Identity, int]:
    """Read what follows the key."""
    seconds, length = _TIME_AND_LENGTH.unpack_from(data, position)
    start = position + _TIME_AND_LENGTH.size
    uri = data[start : start + length]
    if not uri:
        raise _malformed("no name")
    position = start + length
    start = position + _LENGTH.size
    end = start + _LENGTH.unpack_from(data, position)[0]
    hosts = _hosts_untrusted(data[start:end]) if end > start else ()
    return X509Identity(_text_untrusted(uri), spki, (), _time_untrusted(seconds), hosts), end


def _hosts_untrusted(data: bytes) -> tuple[str, ...]:
    listed = Reader(data, _NAME)
    hosts = []
    while listed.remaining:
        hosts.append(_text_untrusted(listed.vector_untrusted(1, at_least=1)))
    return tuple(hosts)


def _short_key(spki: bytes) -> bytes:
    is_p256 = spki.startswith(_P256_SPKI_PREFIX) and len(spki) == _P256_SPKI_BYTES
    return spki[len(_P256_PREFIX) :] if is_p256 else spki


def _whole_key_untrusted(key: bytes) -> bytes:
    if not key:
        raise _malformed("no key")
    return _P256_PREFIX + key if key.startswith(_UNCOMPRESSED) and len(key) == _POINT_BYTES else key


def _text_untrusted(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _malformed("a name that is not text") from None


def _malformed(what: str) -> HandshakeFailure:
    return HandshakeFailure(AlertDescription.DECODE_ERROR, f"the {_NAME} has {what}")
