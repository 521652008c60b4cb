"""COSE_Sign1 with ES256, in the one shape that a ticket has (RFC 9052 section 4.2).

    61(18([ << {1: -7, 4: kid} >>, {}, << payload >>, signature ]))      signature: r || s, 64 bytes

Owns the envelope and its signature. Exactly these two tags, every header parameter protected, the
unprotected map empty, the algorithm ES256, no ``crit``: an envelope that can be written in one way only
cannot be dressed up to pass for another one (RFC 9770 section 3). Must never look at the payload, and
must never let the message choose the algorithm with which it is checked.

An ECDSA signature (r, s) has a twin (r, n - s) that verifies as well, so two byte strings could carry one
ticket, and the second would have another token hash than the one that a revocation lists. Of the two, only
the one with the lower s is written and accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from cbor2 import CBORTag
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from twoway import strict_cbor
from twoway.errors import PeerError
from twoway.tickets import iana

SIGNATURE_BYTES = 64
"""An ES256 signature: r and s as 32 bytes each (RFC 9053 section 2.1)."""
MAX_KEY_ID_BYTES = 64
"""A ``kid`` names one of a handful of keys; even a SHA-512 fits. An ``IV`` is shorter."""

_SCALAR_BYTES = SIGNATURE_BYTES // 2
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""n of P-256 (SEC 2 version 2 section 2.4.2)."""
_COSE_TAGS = {iana.TAG_COSE_ENCRYPT0, 17, iana.TAG_COSE_SIGN1, 96, 97, 98}
"""Encrypt0, Mac0, Sign1, Encrypt, Mac and Sign (RFC 9052 section 2)."""


class COSEFault(Enum):
    """Why an envelope is refused."""

    MALFORMED = "it is not a tagged COSE message in the accepted form"
    """The bytes do not have the shape."""
    UNSUPPORTED_PROTECTION = "it is not protected by an accepted algorithm with all its headers"
    """COSE, but with another algorithm or message type, an unprotected header, or ``crit``."""
    BAD_SIGNATURE = "its signature is not by the expected key"
    """The signature does not verify."""
    NOT_AUTHENTIC = "it is not encrypted with the expected key"
    """The authentication tag of the ciphertext is wrong."""


class COSERejected(PeerError):
    """An envelope that is not in the one accepted shape, or whose signature is wrong."""

    def __init__(self, fault: COSEFault) -> None:
        super().__init__(f"the message is refused, {fault.value}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Sign1:
    """A COSE_Sign1 message whose shape is right and whose signature is yet to be verified."""

    protected: bytes
    """The protected header, encoded, as it was signed."""
    key_id: bytes | None
    """``kid``: an index to find the key with. It proves nothing."""
    payload: bytes
    """What is signed. Not to be read before :meth:`verify`."""
    signature: bytes
    """r and s, 64 bytes."""

    def verify(self, public_key: ec.EllipticCurvePublicKey) -> None:
        """Check the signature, which has to be the one of the two that is written here.

        Raises:
            COSERejected: with :attr:`COSEFault.BAD_SIGNATURE`.
        """
        if int.from_bytes(self.signature[_SCALAR_BYTES:]) > _P256_ORDER // 2:
            raise COSERejected(COSEFault.BAD_SIGNATURE)
        verify_signature(public_key, self.protected, self.payload, self.signature)


def sign1(payload: bytes, *, private_key: ec.EllipticCurvePrivateKey, key_id: bytes) -> bytes:
    """Sign ``payload`` and return the tagged message.

    Args:
        payload: any bytes.
        private_key: on P-256.
        key_id: goes into the protected header as ``kid``.
    """
    protected = strict_cbor.encode(
        {iana.HeaderParameter.ALG: iana.Algorithm.ES256, iana.HeaderParameter.KID: key_id}
    )
    r, s = decode_dss_signature(private_key.sign(_to_be_signed(protected, payload), ec.ECDSA(SHA256())))
    signature = r.to_bytes(_SCALAR_BYTES) + min(s, _P256_ORDER - s).to_bytes(_SCALAR_BYTES)
    message = CBORTag(iana.TAG_COSE_SIGN1, [protected, {}, payload, signature])
    return strict_cbor.encode(CBORTag(iana.TAG_CWT, message))


def parse1_untrusted(data: bytes) -> Sign1:
    """Take the envelope apart, so that the caller can find the key by its ``kid``.

    Raises:
        COSERejected: the shape is not exactly the one in the module's description.
    """
    match parts_untrusted(data, tag=iana.TAG_COSE_SIGN1):
        case [bytes() as protected, dict() as unprotected, bytes() as payload, bytes() as signature]:
            header = header_untrusted(protected, unprotected, algorithms={iana.Algorithm.ES256})
            return Sign1(protected, header.key_id, payload, signature)
        case _:
            raise COSERejected(COSEFault.MALFORMED)


def verify1_untrusted(data: bytes, *, public_key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the payload of a message that ``public_key`` signed.

    Raises:
        COSERejected: for the shape or the signature.
    """
    message = parse1_untrusted(data)
    message.verify(public_key)
    return message.payload


def verify_signature(
    public_key: ec.EllipticCurvePublicKey, protected: bytes, payload: bytes, signature: bytes
) -> None:
    """Check an ES256 signature over the ``Sig_structure`` of RFC 9052 section 4.4; no header is judged.

    Raises:
        COSERejected: with :attr:`COSEFault.BAD_SIGNATURE`.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise COSERejected(COSEFault.BAD_SIGNATURE)
    r, s = int.from_bytes(signature[:_SCALAR_BYTES]), int.from_bytes(signature[_SCALAR_BYTES:])
    try:
        public_key.verify(encode_dss_signature(r, s), _to_be_signed(protected, payload), ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise COSERejected(COSEFault.BAD_SIGNATURE) from None


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    return strict_cbor.encode(["Signature1", protected, b"", payload])


def parts_untrusted(data: bytes, *, tag: int) -> object:
    """Take the two tags off: 61, then ``tag``.

    Raises:
        COSERejected: the tags are others.
    """
    try:
        outer = strict_cbor.decode_untrusted(data, tags={iana.TAG_CWT, *_COSE_TAGS})
    except strict_cbor.MalformedCBOR:
        raise COSERejected(COSEFault.MALFORMED) from None
    match outer:
        case CBORTag(tag=iana.TAG_CWT, value=CBORTag(tag=number, value=parts)) if number == tag:
            return parts
        case CBORTag(tag=iana.TAG_CWT, value=CBORTag(tag=number)) if number in _COSE_TAGS:
            raise COSERejected(COSEFault.UNSUPPORTED_PROTECTION)
        case _:
            raise COSERejected(COSEFault.MALFORMED)


@dataclass(frozen=True, slots=True)
class Header:
    """What the protected header says of the protection."""

    algorithm: int
    """``alg``, one of those that the reader accepts."""
    key_id: bytes | None
    """``kid``."""
    iv: bytes | None
    """``IV``."""


def header_untrusted(
    protected: bytes, unprotected: Mapping[object, object], *, algorithms: Collection[int]
) -> Header:
    """Judge the headers; protected parameters that nobody has to understand are left alone.

    Raises:
        COSERejected: with the fault.
    """
    if unprotected:
        raise COSERejected(COSEFault.UNSUPPORTED_PROTECTION)
    try:
        header = strict_cbor.decode_untrusted(protected) if protected else {}
    except strict_cbor.MalformedCBOR:
        raise COSERejected(COSEFault.MALFORMED) from None
    if not isinstance(header, dict):
        raise COSERejected(COSEFault.MALFORMED)
    algorithm = header.get(iana.HeaderParameter.ALG)
    if type(algorithm) is not int or algorithm not in algorithms:
        raise COSERejected(COSEFault.UNSUPPORTED_PROTECTION)
    if iana.HeaderParameter.CRIT in header:
        raise COSERejected(COSEFault.UNSUPPORTED_PROTECTION)
    return Header(
        algorithm, _short(header, iana.HeaderParameter.KID), _short(header, iana.HeaderParameter.IV)
    )


def _short(header: Mapping[object, object], parameter: iana.HeaderParameter) -> bytes | None:
    value = header.get(parameter)
    if value is not None and (not isinstance(value, bytes) or len(value) > MAX_KEY_ID_BYTES):
        raise COSERejected(COSEFault.MALFORMED)
    return value
