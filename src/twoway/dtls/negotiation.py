"""What hellos offer and how a server chooses: the extensions of both hellos, read and written.

Pure functions over a configuration and a hello; the handshakes act on what comes out. The extensions and
where they are defined:

=======================  ============================  ==============================================
supported_groups         RFC 8422 section 5.1.1        groups for the key exchange and ECDSA's curve
ec_point_formats         RFC 8422 section 5.1.2        uncompressed alone
signature_algorithms     RFC 5246 section 7.4.1.4.1
client_certificate_type  RFC 7250 section 4            what the client may show: certificate, raw key
server_certificate_type  RFC 7250 section 4            what the client takes from the server
encrypt_then_mac         RFC 7366 section 2            where a CBC suite is offered or chosen
extended_master_secret   RFC 7627 section 5.1          always
record_size_limit        RFC 8449 section 4            where configured; answered by every server
max_fragment_length      RFC 6066 section 4            where configured; ignored beside the one above
connection_id            RFC 9146 section 3            where configured
rrc                      RFC 9853 section 3            beside connection_id
session_ticket           RFC 5077 section 3.2          where resumption is configured
renegotiation_info       RFC 5746 section 3            always
=======================  ============================  ==============================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.config import MAX_RECORD_SIZE_LIMIT, MIN_RECORD_SIZE_LIMIT, DTLSConfig
from twoway.dtls.connection_id import encode_extension
from twoway.dtls.credentials import Credential, can_decrypt
from twoway.dtls.groups import UNCOMPRESSED_POINTS, NamedGroup
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.messages.certificates import CertificateType
from twoway.dtls.messages.hello import (
    RENEGOTIATION_SCSV,
    ClientHello,
    Extensions,
    ExtensionType,
)
from twoway.dtls.signatures import SignatureScheme, choose_scheme
from twoway.dtls.suites import CipherSuite, KeyExchange
from twoway.dtls.wire import Reader, integers, vector

EMPTY_RENEGOTIATION_INFO: Final = b"\x00"  # RFC 5746 section 3.2: renegotiated_connection of length 0
POINT_FORMATS: Final = vector(1, bytes([UNCOMPRESSED_POINTS]))
X509_ALONE: Final = (CertificateType.X509,)
MAX_FRAGMENT_LENGTHS: Final = {1: 2**9, 2: 2**10, 3: 2**11, 4: 2**12}
"""MaxFragmentLength's codes and bytes, RFC 6066 section 4."""


# --- what a client offers ---------------------------------------------------------------------------


def offered_extensions(
    config: DTLSConfig, suites: tuple[CipherSuite, ...], connection_id: bytes | None
) -> Extensions:
    """Return the extensions of a ClientHello that offers these suites, and wants this connection ID."""
    extensions: Extensions = {
        ExtensionType.EXTENDED_MASTER_SECRET: b"",
        ExtensionType.RENEGOTIATION_INFO: EMPTY_RENEGOTIATION_INFO,
    }
    if any(suite.key_exchange.is_ephemeral for suite in suites):
        extensions[ExtensionType.SUPPORTED_GROUPS] = integers(2, 2, config.groups)
        extensions[ExtensionType.EC_POINT_FORMATS] = POINT_FORMATS
    if any(suite.key_exchange.uses_certificates for suite in suites):
        extensions[ExtensionType.SIGNATURE_ALGORITHMS] = integers(2, 2, config.signature_schemes)
        extensions |= _certificate_type_extensions(config)
    if any(suite.is_cbc for suite in suites):
        extensions[ExtensionType.ENCRYPT_THEN_MAC] = b""
    if config.record_size_limit is not None:
        extensions[ExtensionType.RECORD_SIZE_LIMIT] = config.record_size_limit.to_bytes(2, "big")
    if config.max_fragment_length is not None:
        code = next(code for code, size in MAX_FRAGMENT_LENGTHS.items() if size == config.max_fragment_length)
        extensions[ExtensionType.MAX_FRAGMENT_LENGTH] = bytes([code])
    if connection_id is not None:
        extensions[ExtensionType.CONNECTION_ID] = encode_extension(connection_id)
        extensions[ExtensionType.RRC] = b""
    if config.resumption is not None:
        extensions[ExtensionType.SESSION_TICKET] = b""  # RFC 5077 section 3.2: a ticket is welcome
    return extensions


def _certificate_type_extensions(config: DTLSConfig) -> Extensions:
    """RFC 7250 section 4.1: a list that would hold X.509 alone is left out."""
    extensions: Extensions = {}
    if (ours := config.own_types) and ours != X509_ALONE:
        extensions[ExtensionType.CLIENT_CERTIFICATE_TYPE] = integers(1, 1, ours)
    if (theirs := config.verifiable_types) != X509_ALONE:
        extensions[ExtensionType.SERVER_CERTIFICATE_TYPE] = integers(1, 1, theirs)
    return extensions


# --- what a server reads ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """What a ClientHello offers, with the RFCs' defaults for what it leaves out."""

    suites: tuple[int, ...]
    groups: tuple[int, ...]
    schemes: tuple[int, ...]
    client_types: tuple[int, ...]
    """What the client may show us."""
    server_types: tuple[int, ...]
    """What the client takes from us."""
    encrypt_then_mac: bool
    record_size_limit: int | None
    """The largest plaintext of a protected record that the client takes, in bytes."""
    max_fragment_length: int | None
    """Bytes; its code is in the extension."""

    @classmethod
    def from_hello_untrusted(cls, hello: ClientHello) -> Offer:
        """Read a hello.

        Raises:
            HandshakeFailure: decode_error or illegal_parameter for an extension that is not as its RFC says.
        """
        extensions = hello.extensions
        # RFC 8422 section 4: a client without the extension takes any group; secp256r1 is what all have.
        groups = _integers_untrusted(extensions, ExtensionType.SUPPORTED_GROUPS, 2, (NamedGroup.SECP256R1,))
        if not takes_uncompressed_points_untrusted(extensions):
            groups = ()
        if extensions.get(ExtensionType.ENCRYPT_THEN_MAC, b""):
            raise HandshakeFailure(
                AlertDescription.DECODE_ERROR, "the client's encrypt_then_mac extension is not empty"
            )
        limit = parse_record_size_limit_untrusted(extensions)
        return cls(
            suites=hello.suites,
            groups=groups,
            # RFC 5246 section 7.4.1.4.1: without it the client takes SHA-1 alone, which we do not make.
            schemes=_integers_untrusted(extensions, ExtensionType.SIGNATURE_ALGORITHMS, 2, ()),
            client_types=_types_untrusted(extensions, ExtensionType.CLIENT_CERTIFICATE_TYPE),
            server_types=_types_untrusted(extensions, ExtensionType.SERVER_CERTIFICATE_TYPE),
            encrypt_then_mac=ExtensionType.ENCRYPT_THEN_MAC in extensions,
            record_size_limit=limit,
            # RFC 8449 section 5: ignored where both are offered.
            max_fragment_length=None if limit else parse_max_fragment_length_untrusted(extensions),
        )


@dataclass(frozen=True)
class Choice:
    """What a server chose of an offer."""

    suite: CipherSuite
    group: NamedGroup | None
    """Where the key exchange is ephemeral."""
    credential: Credential | None
    """What we prove ourselves with, where the suite asks for it."""
    scheme: SignatureScheme | None
    """For the signature in ServerKeyExchange, where there is one."""
    requested_type: CertificateType | None
    """What we ask the client to show; None: nothing."""
    encrypt_then_mac: bool


def choose(config: DTLSConfig, offer: Offer) -> Choice:
    """Take our most preferred suite that the client offers with all that it needs.

    Raises:
        HandshakeFailure: there is none.
    """
    requested = next((kind for kind in offer.client_types if kind in config.verifiable_types), None)
    wants_client = HandshakeKind.FULL in config.admit
    is_one_sided_enough = HandshakeKind.SERVER_AUTHENTICATED in config.admit
    for suite in config.usable_suites(is_client=False):
        if suite.code not in offer.suites:
            continue
        if suite.is_cbc and not (offer.encrypt_then_mac or config.admits_mac_then_encrypt):
            continue
        exchange = suite.key_exchange
        group = next((group for group in config.groups if group in offer.groups), None)
        if exchange.is_ephemeral and group is None:
            continue
        credential, scheme, asked = None, None, None
        if exchange.uses_certificates:
            credential, scheme = _choose_credential(config, offer, exchange)
            asked = CertificateType(requested) if wants_client and requested is not None else None
            if credential is None or (asked is None and not is_one_sided_enough):
                continue
        return Choice(
            suite=suite,
            group=group if exchange.is_ephemeral else None,
            credential=credential,
            scheme=scheme,
            requested_type=asked,
            encrypt_then_mac=suite.is_cbc and offer.encrypt_then_mac,
        )
    raise _nothing_in_common(config, offer, requested)


def _choose_credential(
    config: DTLSConfig, offer: Offer, exchange: KeyExchange
) -> tuple[Credential | None, SignatureScheme | None]:
    """Take the first of ours that is of a type that the client takes and fits the key exchange."""
    for kind in offer.server_types:
        credential = config.own_credential(kind)
        if credential is None or not exchange.fits(credential.public_key):
            continue
        if exchange is KeyExchange.RSA:
            if not can_decrypt(credential):
                continue
            return credential, None
        scheme = choose_scheme(config.signature_schemes, offer.schemes, credential.public_key)
        if scheme is not None and _curve_is_taken(credential.public_key, offer.groups):
            return credential, scheme
    return None, None


def _curve_is_taken(public_key: PublicKeyTypes, groups: tuple[int, ...]) -> bool:
    """RFC 8422 section 5.1: the client's groups bind the curve of an ECDSA key, too."""
    return (curve := NamedGroup.of(public_key)) is None or curve in groups


def _nothing_in_common(config: DTLSConfig, offer: Offer, requested: int | None) -> HandshakeFailure:
    has_type = any(config.own_credential(kind) is not None for kind in offer.server_types)
    if config.own_types and config.verifiable_types and not (has_type and requested is not None):
        # RFC 7250 section 4.2
        return HandshakeFailure(
            AlertDescription.UNSUPPORTED_CERTIFICATE, "the client offers no certificate type in common"
        )
    return HandshakeFailure(
        AlertDescription.HANDSHAKE_FAILURE, "the client offers no suite, group and signature in common"
    )


def answered_extensions(
    config: DTLSConfig,
    hello: ClientHello,
    offer: Offer,
    choice: Choice,
    *,
    extended_master_secret: bool,
    connection_id: bytes | None,
) -> Extensions:
    """Return the extensions of the ServerHello; none that the client did not offer."""
    extensions: Extensions = {}
    if extended_master_secret:
        extensions[ExtensionType.EXTENDED_MASTER_SECRET] = b""
    # RFC 5746 section 3.6: answered where it was offered, by extension or by signalling suite.
    if ExtensionType.RENEGOTIATION_INFO in hello.extensions or RENEGOTIATION_SCSV in hello.suites:
        extensions[ExtensionType.RENEGOTIATION_INFO] = EMPTY_RENEGOTIATION_INFO
    if choice.group is not None and ExtensionType.EC_POINT_FORMATS in hello.extensions:
        extensions[ExtensionType.EC_POINT_FORMATS] = POINT_FORMATS
    if choice.encrypt_then_mac:
        extensions[ExtensionType.ENCRYPT_THEN_MAC] = b""
    if choice.credential is not None and ExtensionType.SERVER_CERTIFICATE_TYPE in hello.extensions:
        kind = choice.credential.certificate_type
        extensions[ExtensionType.SERVER_CERTIFICATE_TYPE] = bytes([kind])
    if choice.requested_type is not None and ExtensionType.CLIENT_CERTIFICATE_TYPE in hello.extensions:
        extensions[ExtensionType.CLIENT_CERTIFICATE_TYPE] = bytes([choice.requested_type])
    if offer.record_size_limit is not None:
        ours = config.record_size_limit or MAX_RECORD_SIZE_LIMIT
        extensions[ExtensionType.RECORD_SIZE_LIMIT] = ours.to_bytes(2, "big")
    if offer.max_fragment_length is not None:
        extensions[ExtensionType.MAX_FRAGMENT_LENGTH] = hello.extensions[ExtensionType.MAX_FRAGMENT_LENGTH]
    if connection_id is not None and ExtensionType.CONNECTION_ID in hello.extensions:
        extensions[ExtensionType.CONNECTION_ID] = encode_extension(connection_id)
        if ExtensionType.RRC in hello.extensions:
            extensions[ExtensionType.RRC] = b""
    return extensions


# --- single extensions ------------------------------------------------------------------------------


def takes_uncompressed_points_untrusted(extensions: Extensions) -> bool:
    """RFC 8422 section 5.1.2: whoever lists point formats must list the uncompressed one."""
    if (data := extensions.get(ExtensionType.EC_POINT_FORMATS)) is None:
        return True
    reader = Reader(data, "ec_point_formats")
    formats = reader.vector_untrusted(1, at_least=1)
    reader.end_untrusted()
    return UNCOMPRESSED_POINTS in formats


def parse_record_size_limit_untrusted(extensions: Extensions) -> int | None:
    """RFC 8449 section 4: uint16, at least 64; more than a record can hold means no limit."""
    if (data := extensions.get(ExtensionType.RECORD_SIZE_LIMIT)) is None:
        return None
    reader = Reader(data, "record_size_limit")
    limit = reader.integer_untrusted(2)
    reader.end_untrusted()
    if limit < MIN_RECORD_SIZE_LIMIT:
        raise HandshakeFailure(
            AlertDescription.ILLEGAL_PARAMETER, f"the peer's record_size_limit of {limit} bytes is below 64"
        )
    return min(limit, MAX_RECORD_SIZE_LIMIT)


def parse_max_fragment_length_untrusted(extensions: Extensions) -> int | None:
    """RFC 6066 section 4: one byte, 1 to 4."""
    if (data := extensions.get(ExtensionType.MAX_FRAGMENT_LENGTH)) is None:
        return None
    if len(data) != 1 or data[0] not in MAX_FRAGMENT_LENGTHS:
        raise HandshakeFailure(
            AlertDescription.ILLEGAL_PARAMETER, "the peer's max_fragment_length is not one that exists"
        )
    return MAX_FRAGMENT_LENGTHS[data[0]]


def answered_type_untrusted(extensions: Extensions, extension: ExtensionType) -> int:
    """RFC 7250 section 4.2: the one type that the server chose; X.509 where it does not say."""
    if (data := extensions.get(extension)) is None:
        return CertificateType.X509
    reader = Reader(data, extension.name.lower())
    kind = reader.integer_untrusted(1)
    reader.end_untrusted()
    return kind


def _types_untrusted(extensions: Extensions, extension: ExtensionType) -> tuple[int, ...]:
    return _integers_untrusted(extensions, extension, 1, X509_ALONE)


def _integers_untrusted(
    extensions: Extensions, extension: ExtensionType, width: int, default: tuple[int, ...]
) -> tuple[int, ...]:
    """Read a list of integers, whose length takes as many bytes as each of them."""
    if (data := extensions.get(extension)) is None:
        return default
    reader = Reader(data, extension.name.lower())
    values = reader.integers_untrusted(width, width, at_least=width)
    reader.end_untrusted()
    return values
