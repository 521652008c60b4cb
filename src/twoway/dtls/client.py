"""The client's handshake: RFC 5246 section 7.3 with the cookie exchange of RFC 6347 section 4.2.

Client                                          Server
ClientHello                 -------->                       flight 1
                            <--------  HelloVerifyRequest   flight 2
ClientHello (with cookie)   -------->                       flight 3
                                              ServerHello
                                             Certificate *
                                       ServerKeyExchange *
                                      CertificateRequest *
                            <--------      ServerHelloDone  flight 4
Certificate *
ClientKeyExchange
CertificateVerify *
[ChangeCipherSpec]
Finished                    -------->                       flight 5
                                       [ChangeCipherSpec]
                            <--------             Finished  flight 6

* with a certificate suite; all of them are demanded then, for both sides authenticate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from twoway.dtls import keys
from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.credentials import verify_chain_untrusted
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
    ClientHello,
    Extensions,
    ExtensionType,
    HelloVerifyRequest,
    ServerHello,
)
from twoway.dtls.messages.key_exchange import ClientECDHE, ClientPSKIdentity, ServerECDHE, ServerPSKHint
from twoway.dtls.record import DTLS_1_2
from twoway.dtls.signatures import SignatureScheme, choose_scheme, verify_untrusted
from twoway.dtls.states import ClientState
from twoway.dtls.suites import CipherSuite
from twoway.dtls.wire import Reader, integers, vector
from twoway.identity import PSKIdentity
from twoway.pki import Purpose

MAX_VERIFY_REQUESTS: Final = 4
"""A server asks once; a second and third time when its secret changed or a cookie was damaged."""


class ClientHandshake(Handshake):
    """Speaks first; see the module's picture."""

    is_client = True

    def __init__(self, surroundings: Surroundings, link: Link) -> None:
        super().__init__(surroundings, link, first_seq=0)
        self.state: ClientState = ClientState.START
        self._suites = self._config.usable_suites(is_client=True)
        self._verify_requests = 0
        self._server_key: PublicKeyTypes | None = None
        self._server_share: ServerECDHE | None = None
        self._client_scheme: SignatureScheme | None = None
        self._handlers: dict[ClientState, dict[int, Callable[[HandshakeMessage], None]]] = {
            ClientState.SERVER_HELLO: {
                HandshakeType.HELLO_VERIFY_REQUEST: self._receive_hello_verify_request,
                HandshakeType.SERVER_HELLO: self._receive_server_hello,
            },
            ClientState.CERTIFICATE: {HandshakeType.CERTIFICATE: self._receive_certificate},
            ClientState.SERVER_KEY_EXCHANGE: {
                HandshakeType.SERVER_KEY_EXCHANGE: self._receive_server_key_exchange
            },
            ClientState.CERTIFICATE_REQUEST: {
                HandshakeType.CERTIFICATE_REQUEST: self._receive_certificate_request,
                HandshakeType.SERVER_HELLO_DONE: self._refuse_one_sided,
            },
            ClientState.PSK_HINT_OR_DONE: {
                HandshakeType.SERVER_KEY_EXCHANGE: self._receive_psk_hint,
                HandshakeType.SERVER_HELLO_DONE: self._receive_server_hello_done,
            },
            ClientState.SERVER_HELLO_DONE: {HandshakeType.SERVER_HELLO_DONE: self._receive_server_hello_done},
            ClientState.FINISHED: {HandshakeType.FINISHED: self._receive_finished},
        }

    def start(self) -> None:
        """Send the first ClientHello."""
        self._client_random = self._entropy(RANDOM_BYTES)
        self._hello = ClientHello(
            version=DTLS_1_2,
            random=self._client_random,
            session_id=b"",
            cookie=b"",
            suites=tuple(suite.code for suite in self._suites),
            compressions=bytes([NULL_COMPRESSION]),
            extensions=self._offered_extensions(),
        )
        self._say_hello()

    @property
    def awaits_change_cipher_spec(self) -> bool:
        """Whether flight 5 is out and flight 6 may come."""
        return self.state is ClientState.CHANGE_CIPHER_SPEC

    def receive_change_cipher_spec(self) -> None:
        """The server's Finished is due."""
        self._enter(ClientState.FINISHED)

    def receive_untrusted(self, message: HandshakeMessage) -> None:
        """Take the server's next message; see :meth:`Handshake.receive_untrusted`."""
        if message.type == HandshakeType.HELLO_REQUEST:
            return  # RFC 5246 section 7.4.1.1: ignored while a handshake is going on, and not hashed.
        handler = self._handlers.get(self.state, {}).get(message.type)
        if handler is None:
            self._refuse_unexpected(message)
        if message.type not in (HandshakeType.HELLO_VERIFY_REQUEST, HandshakeType.FINISHED):
            self._note(message)
        handler(message)

    # --- flights 1 to 3 -------------------------------------------------------------------------

    def _offered_extensions(self) -> Extensions:
        extensions: Extensions = {
            ExtensionType.EXTENDED_MASTER_SECRET: b"",
            ExtensionType.RENEGOTIATION_INFO: EMPTY_RENEGOTIATION_INFO,
        }
        if any(suite.key_exchange.uses_certificates for suite in self._suites):
            extensions[ExtensionType.SUPPORTED_GROUPS] = integers(2, 2, self._config.groups)
            extensions[ExtensionType.EC_POINT_FORMATS] = vector(1, bytes([UNCOMPRESSED_POINTS]))
            extensions[ExtensionType.SIGNATURE_ALGORITHMS] = integers(2, 2, self._config.signature_schemes)
        return extensions

    def _say_hello(self) -> None:
        self._transcript = b""  # The first hello and the request for a cookie are not hashed.
        self._say(HandshakeType.CLIENT_HELLO, self._hello.encode())
        self._enter(ClientState.SERVER_HELLO)
        self._send_flight(awaits_answer=True)

    def _receive_hello_verify_request(self, message: HandshakeMessage) -> None:
        request = HelloVerifyRequest.parse_untrusted(message.body)
        self._verify_requests += 1
        if self._verify_requests > MAX_VERIFY_REQUESTS:
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE, "the server asks for a cookie again and again"
            )
        self._hello = replace(self._hello, cookie=request.cookie)
        self._say_hello()

    # --- flight 4 -------------------------------------------------------------------------------

    def _receive_server_hello(self, message: HandshakeMessage) -> None:
        hello = ServerHello.parse_untrusted(message.body)
        if hello.version != DTLS_1_2:
            raise HandshakeFailure(AlertDescription.PROTOCOL_VERSION, "the server does not speak DTLS 1.2")
        suite = next((suite for suite in self._suites if suite.code == hello.suite), None)
        if suite is None or hello.compression != NULL_COMPRESSION:
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, "the server chose a suite or compression not offered"
            )
        if not set(hello.extensions) <= set(self._hello.extensions):
            raise HandshakeFailure(
                AlertDescription.UNSUPPORTED_EXTENSION, "the server answered an extension not offered"
            )
        if hello.extensions.get(ExtensionType.RENEGOTIATION_INFO) != EMPTY_RENEGOTIATION_INFO:
            # RFC 5746 section 3.4; without it a spliced-in renegotiation could not be told apart.
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE, "the server does not answer renegotiation_info (RFC 5746)"
            )
        _check_point_formats_untrusted(hello.extensions)
        self._accept_extended_master_secret(hello.extensions)
        self._server_random = hello.random
        self._suite = suite
        self._enter(
            ClientState.CERTIFICATE if suite.key_exchange.uses_certificates else ClientState.PSK_HINT_OR_DONE
        )

    def _receive_certificate(self, message: HandshakeMessage) -> None:
        assert self._config.trust is not None
        assert self._suite is not None
        self._peer, self._server_key = verify_chain_untrusted(
            self._config.trust,
            Certificate.parse_untrusted(message.body).chain,
            purpose=Purpose.SERVER,
            at=self._wall_clock(),
        )
        if not self._suite.key_exchange.fits(self._server_key):
            raise HandshakeFailure(
                AlertDescription.UNSUPPORTED_CERTIFICATE, "the server's key is of another kind than its suite"
            )
        self._enter(ClientState.SERVER_KEY_EXCHANGE)

    def _receive_server_key_exchange(self, message: HandshakeMessage) -> None:
        assert self._server_key is not None
        share = ServerECDHE.parse_untrusted(message.body)
        if share.parameters.group not in self._config.groups:
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, f"the server chose group {share.parameters.group}"
            )
        signed = self._client_random + self._server_random + share.parameters.encode()
        verify_untrusted(
            self._server_key, self._config.signature_schemes, share.scheme, share.signature, signed
        )
        self._server_share = share
        self._enter(ClientState.CERTIFICATE_REQUEST)

    def _receive_certificate_request(self, message: HandshakeMessage) -> None:
        assert self._config.certificate is not None
        request = CertificateRequest.parse_untrusted(message.body)
        own_key = self._config.certificate.public_key
        self._client_scheme = choose_scheme(self._config.signature_schemes, request.schemes, own_key)
        if self._client_scheme is None or CertificateType.of(own_key) not in request.types:
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE, "the server takes no signature that our key can make"
            )
        self._enter(ClientState.SERVER_HELLO_DONE)

    def _refuse_one_sided(self, message: HandshakeMessage) -> None:
        raise HandshakeFailure(
            AlertDescription.HANDSHAKE_FAILURE,
            "the server does not ask for our certificate, and only two-way authentication is admitted",
        )

    def _receive_psk_hint(self, message: HandshakeMessage) -> None:
        ServerPSKHint.parse_untrusted(message.body)
        self._enter(ClientState.SERVER_HELLO_DONE)

    # --- flight 5 -------------------------------------------------------------------------------

    def _receive_server_hello_done(self, message: HandshakeMessage) -> None:
        Reader(message.body, "ServerHelloDone").end_untrusted()
        assert self._suite is not None
        if self._suite.key_exchange.uses_certificates:
            self._say_certificate_flight()
        else:
            self._say_psk_flight(self._suite)

    def _say_certificate_flight(self) -> None:
        assert self._config.certificate is not None
        assert self._server_share is not None
        assert self._client_scheme is not None
        group = NamedGroup(self._server_share.parameters.group)
        ours = EphemeralKey(group)
        premaster = ours.agree_untrusted(self._server_share.parameters.point)
        self._group = group.label
        self._say(HandshakeType.CERTIFICATE, Certificate(self._config.certificate.chain).encode())
        self._say(HandshakeType.CLIENT_KEY_EXCHANGE, ClientECDHE(ours.point).encode())
        self._derive_keys(premaster)
        # RFC 5246 section 7.4.8: signed is every message so far, without CertificateVerify itself.
        self._enter(ClientState.SIGNATURE)
        self._sign(self._client_scheme, self._transcript, self._say_certificate_verify)

    def _say_certificate_verify(self, signature: bytes) -> None:
        assert self._client_scheme is not None
        verify = CertificateVerify(self._client_scheme, signature)
        self._say(HandshakeType.CERTIFICATE_VERIFY, verify.encode())
        self._say_last_flight()

    def _say_psk_flight(self, suite: CipherSuite) -> None:
        assert self._config.psk is not None
        identity = self._config.psk.identity
        self._say(HandshakeType.CLIENT_KEY_EXCHANGE, ClientPSKIdentity(identity).encode())
        self._derive_keys(keys.psk_premaster(self._config.psk.key))
        self._peer = PSKIdentity(identity)
        self._say_last_flight()

    def _say_last_flight(self) -> None:
        self._say_finished()
        self._enter(ClientState.CHANGE_CIPHER_SPEC)
        self._send_flight(awaits_answer=True)

    # --- flight 6 -------------------------------------------------------------------------------

    def _receive_finished(self, message: HandshakeMessage) -> None:
        self._check_finished(message)
        self._enter(ClientState.CONNECTED)
        self._complete()


def _check_point_formats_untrusted(extensions: Extensions) -> None:
    """RFC 8422 section 5.1.2: whoever lists point formats must list the uncompressed one."""
    data = extensions.get(ExtensionType.EC_POINT_FORMATS)
    if data is None:
        return
    reader = Reader(data, "ec_point_formats")
    formats = reader.vector_untrusted(1, at_least=1)
    reader.end_untrusted()
    if UNCOMPRESSED_POINTS not in formats:
        raise HandshakeFailure(
            AlertDescription.ILLEGAL_PARAMETER, "the peer does not take uncompressed points"
        )
