"""The server's handshake: RFC 5246 section 7.3, from the ClientHello that brought a valid cookie.

The picture is in :mod:`twoway.dtls.client`. Flights 1 and 2 are answered without memory by
:mod:`twoway.dtls.cookie`; this module begins with flight 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from twoway.dtls import keys
from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.cookie import AcceptedHello
from twoway.dtls.credentials import MAX_PSK_BYTES, MIN_PSK_BYTES, verify_chain_untrusted
from twoway.dtls.groups import UNCOMPRESSED_POINTS, EphemeralKey, NamedGroup
from twoway.dtls.handshake import EMPTY_RENEGOTIATION_INFO, Handshake, Link, Surroundings
from twoway.dtls.messages.certificates import (
    Certificate,
    CertificateRequest,
    CertificateType,
    CertificateVerify,
)
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.messages.hello import (
    NULL_COMPRESSION,
    RANDOM_BYTES,
    RENEGOTIATION_SCSV,
    ClientHello,
    Extensions,
    ExtensionType,
    ServerHello,
)
from twoway.dtls.messages.key_exchange import (
    ClientECDHE,
    ClientPSKIdentity,
    ServerECDHE,
    ServerECDHEParameters,
)
from twoway.dtls.record import DTLS_1_2
from twoway.dtls.signatures import SignatureScheme, choose_scheme, verify_untrusted
from twoway.dtls.states import ServerState
from twoway.dtls.suites import CipherSuite
from twoway.dtls.wire import Reader, vector
from twoway.identity import PSKIdentity
from twoway.pki import Purpose

CLIENT_CERTIFICATE_TYPES: Final = (CertificateType.ECDSA_SIGN, CertificateType.RSA_SIGN)


class ServerHandshake(Handshake):
    """Answers; see the picture in :mod:`twoway.dtls.client`."""

    is_client = False

    def __init__(self, surroundings: Surroundings, link: Link, accepted: AcceptedHello) -> None:
        # The cookie exchange took the numbers below the hello's (RFC 6347 section 4.2.2).
        super().__init__(surroundings, link, first_seq=accepted.message.message_seq)
        self.state: ServerState = ServerState.START
        self._accepted = accepted
        self._ephemeral: EphemeralKey | None = None
        self._client_key: PublicKeyTypes | None = None
        self._handlers: dict[ServerState, dict[int, Callable[[HandshakeMessage], None]]] = {
            ServerState.CERTIFICATE: {HandshakeType.CERTIFICATE: self._receive_certificate},
            ServerState.CLIENT_KEY_EXCHANGE: {
                HandshakeType.CLIENT_KEY_EXCHANGE: self._receive_client_key_exchange
            },
            ServerState.CERTIFICATE_VERIFY: {
                HandshakeType.CERTIFICATE_VERIFY: self._receive_certificate_verify
            },
            ServerState.FINISHED: {HandshakeType.FINISHED: self._receive_finished},
        }

    def start_untrusted(self) -> None:
        """Answer the accepted hello with flight 4.

        Raises:
            HandshakeFailure: nothing that the client offers will do.
        """
        hello = self._accepted.hello
        self._check_hello_untrusted(hello)
        self._note(self._accepted.message)
        self._client_random = hello.random
        self._server_random = self._entropy(RANDOM_BYTES)
        offer = _Offer.from_hello_untrusted(hello)
        suite, group, scheme = self._choose(offer)
        self._suite = suite
        self._say_server_hello(hello, suite)
        if group is None or scheme is None:
            self._say_server_hello_done()
        else:
            self._say_certificate_and_share(group, scheme)

    @property
    def awaits_change_cipher_spec(self) -> bool:
        """Whether the client has proved what it must before it may change over."""
        return self.state is ServerState.CHANGE_CIPHER_SPEC

    def receive_change_cipher_spec(self) -> None:
        """The client's Finished is due."""
        self._enter(ServerState.FINISHED)

    def receive_untrusted(self, message: HandshakeMessage) -> None:
        """Take the client's next message; see :meth:`Handshake.receive_untrusted`."""
        handler = self._handlers.get(self.state, {}).get(message.type)
        if handler is None:
            self._refuse_unexpected(message)
        if message.type not in (HandshakeType.CERTIFICATE_VERIFY, HandshakeType.FINISHED):
            self._note(message)
        handler(message)

    # --- flight 3 -------------------------------------------------------------------------------

    def _check_hello_untrusted(self, hello: ClientHello) -> None:
        # The version counts downwards: 0xfeff is DTLS 1.0, 0xfefc is DTLS 1.3. Other majors are not DTLS.
        if hello.version > DTLS_1_2 or hello.version >> 8 != DTLS_1_2 >> 8:
            raise HandshakeFailure(AlertDescription.PROTOCOL_VERSION, "the client does not speak DTLS 1.2")
        if NULL_COMPRESSION not in hello.compressions:
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, "the client does not offer null compression"
            )
        renegotiation_info = hello.extensions.get(ExtensionType.RENEGOTIATION_INFO)
        if renegotiation_info not in (None, EMPTY_RENEGOTIATION_INFO):
            # RFC 5746 section 3.6: this is a first handshake, whatever the client thinks.
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE, "the client believes it is renegotiating"
            )
        self._accept_extended_master_secret(hello.extensions)

    def _choose(self, offer: _Offer) -> tuple[CipherSuite, NamedGroup | None, SignatureScheme | None]:
        """Take our most preferred suite that the client offers with all that it needs."""
        for suite in self._config.usable_suites(is_client=False):
            if suite.code not in offer.suites:
                continue
            if not suite.key_exchange.uses_certificates:
                return suite, None, None
            assert self._config.certificate is not None
            group = next((group for group in self._config.groups if group in offer.groups), None)
            scheme = choose_scheme(
                self._config.signature_schemes, offer.schemes, self._config.certificate.public_key
            )
            # RFC 8422 section 5.1: the client's groups bind the curve of the server's certificate, too.
            curve = NamedGroup.of(self._config.certificate.public_key)
            is_curve_taken = curve is None or curve in offer.groups
            if group is not None and scheme is not None and is_curve_taken:
                return suite, group, scheme
        raise HandshakeFailure(
            AlertDescription.HANDSHAKE_FAILURE, "the client offers no suite, group and signature in common"
        )

    # --- flight 4 -------------------------------------------------------------------------------

    def _say_server_hello(self, hello: ClientHello, suite: CipherSuite) -> None:
        extensions: Extensions = {}
        if self._has_extended_master_secret:
            extensions[ExtensionType.EXTENDED_MASTER_SECRET] = b""
        # RFC 5746 section 3.6: answered where it was offered, by extension or by signalling suite.
        if ExtensionType.RENEGOTIATION_INFO in hello.extensions or RENEGOTIATION_SCSV in hello.suites:
            extensions[ExtensionType.RENEGOTIATION_INFO] = EMPTY_RENEGOTIATION_INFO
        if suite.key_exchange.uses_certificates and ExtensionType.EC_POINT_FORMATS in hello.extensions:
            extensions[ExtensionType.EC_POINT_FORMATS] = vector(1, bytes([UNCOMPRESSED_POINTS]))
        answer = ServerHello(
            version=DTLS_1_2,
            random=self._server_random,
            session_id=b"",
            suite=suite.code,
            compression=NULL_COMPRESSION,
            extensions=extensions,
        )
        self._say(HandshakeType.SERVER_HELLO, answer.encode())

    def _say_certificate_and_share(self, group: NamedGroup, scheme: SignatureScheme) -> None:
        assert self._config.certificate is not None
        self._group = group.label
        self._ephemeral = EphemeralKey(group)
        parameters = ServerECDHEParameters(group, self._ephemeral.point)
        self._say(HandshakeType.CERTIFICATE, Certificate(self._config.certificate.chain).encode())
        self._enter(ServerState.SIGNATURE)

        def proceed(signature: bytes) -> None:
            share = ServerECDHE(parameters, scheme, signature)
            self._say(HandshakeType.SERVER_KEY_EXCHANGE, share.encode())
            request = CertificateRequest(CLIENT_CERTIFICATE_TYPES, self._config.signature_schemes)
            self._say(HandshakeType.CERTIFICATE_REQUEST, request.encode())
            self._say_server_hello_done()

        self._sign(scheme, self._client_random + self._server_random + parameters.encode(), proceed)

    def _say_server_hello_done(self) -> None:
        assert self._suite is not None
        self._say(HandshakeType.SERVER_HELLO_DONE, b"")
        self._enter(
            ServerState.CERTIFICATE
            if self._suite.key_exchange.uses_certificates
            else ServerState.CLIENT_KEY_EXCHANGE
        )
        self._send_flight(awaits_answer=True)

    # --- flight 5 -------------------------------------------------------------------------------

    def _receive_certificate(self, message: HandshakeMessage) -> None:
        assert self._config.trust is not None
        self._peer, self._client_key = verify_chain_untrusted(
            self._config.trust,
            Certificate.parse_untrusted(message.body).chain,
            purpose=Purpose.CLIENT,
            at=self._wall_clock(),
        )
        self._enter(ServerState.CLIENT_KEY_EXCHANGE)

    def _receive_client_key_exchange(self, message: HandshakeMessage) -> None:
        assert self._suite is not None
        if self._suite.key_exchange.uses_certificates:
            assert self._ephemeral is not None
            point = ClientECDHE.parse_untrusted(message.body).point
            self._derive_keys(self._ephemeral.agree_untrusted(point))
            self._ephemeral = None
            self._enter(ServerState.CERTIFICATE_VERIFY)
        else:
            identity = ClientPSKIdentity.parse_untrusted(message.body).identity
            self._derive_keys(keys.psk_premaster(self._look_up_psk(identity)))
            self._peer = PSKIdentity(identity)
            self._enter(ServerState.CHANGE_CIPHER_SPEC)

    def _look_up_psk(self, identity: bytes) -> bytes:
        """Return the key of an identity; for an unknown one a random key, under which no Finished will ever
        verify, so that a stranger cannot find out which identities exist (RFC 4279 section 2)."""
        assert self._config.psk_lookup is not None
        stand_in = self._entropy(MIN_PSK_BYTES)
        key = self._config.psk_lookup(identity)
        return key if key is not None and MIN_PSK_BYTES <= len(key) <= MAX_PSK_BYTES else stand_in

    def _receive_certificate_verify(self, message: HandshakeMessage) -> None:
        assert self._client_key is not None
        verify = CertificateVerify.parse_untrusted(message.body)
        verify_untrusted(
            self._client_key,
            self._config.signature_schemes,
            verify.scheme,
            verify.signature,
            self._transcript,
        )
        self._note(message)
        self._enter(ServerState.CHANGE_CIPHER_SPEC)

    # --- flight 6 -------------------------------------------------------------------------------

    def _receive_finished(self, message: HandshakeMessage) -> None:
        self._check_finished(message)
        self._say_finished()
        self._enter(ServerState.CONNECTED)
        self._send_flight(awaits_answer=False)
        self._complete()


class _Offer:
    """What a ClientHello offers, with the RFCs' defaults for what it leaves out."""

    def __init__(self, suites: tuple[int, ...], groups: tuple[int, ...], schemes: tuple[int, ...]) -> None:
        self.suites = suites
        self.groups = groups
        self.schemes = schemes

    @classmethod
    def from_hello_untrusted(cls, hello: ClientHello) -> _Offer:
        # RFC 8422 section 4: a client without the extension takes any group; secp256r1 is what all have.
        groups = _integers_untrusted(hello, ExtensionType.SUPPORTED_GROUPS, (NamedGroup.SECP256R1,))
        # RFC 5246 section 7.4.1.4.1: without it the client takes SHA-1 alone, which we do not make.
        schemes = _integers_untrusted(hello, ExtensionType.SIGNATURE_ALGORITHMS, ())
        if (formats := hello.extensions.get(ExtensionType.EC_POINT_FORMATS)) is not None:
            reader = Reader(formats, "ec_point_formats")
            if UNCOMPRESSED_POINTS not in reader.vector_untrusted(1, at_least=1):
                groups = ()
            reader.end_untrusted()
        return cls(hello.suites, groups, schemes)


def _integers_untrusted(
    hello: ClientHello, extension: ExtensionType, default: tuple[int, ...]
) -> tuple[int, ...]:
    if (data := hello.extensions.get(extension)) is None:
        return default
    reader = Reader(data, extension.name.lower())
    values = reader.integers_untrusted(2, 2, at_least=2)
    reader.end_untrusted()
    return values
