"""The client's handshake: RFC 5246 section 7.3 with the cookie exchange of RFC 6347 section 4.2.

Client                                          Server
ClientHello                 -------->                       flight 1
                            <--------  HelloVerifyRequest   flight 2
ClientHello (with cookie)   -------->                       flight 3
                                              ServerHello
                                            [Certificate]
                                      [ServerKeyExchange]
                                     [CertificateRequest]
                            <--------      ServerHelloDone  flight 4
[Certificate]
ClientKeyExchange
[CertificateVerify]
(ChangeCipherSpec)
Finished                    -------->                       flight 5
                                       (ChangeCipherSpec)
                            <--------             Finished  flight 6

What stands in brackets depends on the key exchange and on who proves himself:

===========  ===========  ==================  ==================  ===================================
exchange     Certificate  ServerKeyExchange   CertificateRequest  ClientKeyExchange
===========  ===========  ==================  ==================  ===================================
ECDHE_ECDSA  yes          signed point        if two-way          point (RFC 8422)
ECDHE_RSA    yes          signed point        if two-way          point (RFC 8422)
RSA          yes          never               if two-way          encrypted premaster (RFC 5246)
ECDH_anon    never        point               never               point (RFC 8422)
PSK          never        may give a hint     never               identity (RFC 4279)
ECDHE_PSK    never        hint and point      never               identity and point (RFC 5489)
===========  ===========  ==================  ==================  ===================================

The abbreviated handshake of a session that is resumed is drawn in :mod:`twoway.dtls.abbreviated`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from twoway.dtls import keys
from twoway.dtls.abbreviated import name_session, with_ticket
from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.credentials import Credential, require_key_encipherment
from twoway.dtls.groups import EphemeralKey, NamedGroup
from twoway.dtls.handshake import Handshake, Link, Surroundings
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.messages.certificates import (
    Certificate,
    CertificateRequest,
    CertificateType,
    CertificateVerify,
    ClientCertificateType,
)
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.messages.hello import (
    NULL_COMPRESSION,
    RANDOM_BYTES,
    ClientHello,
    ExtensionType,
    HelloVerifyRequest,
    ServerHello,
)
from twoway.dtls.messages.key_exchange import (
    ClientECDHE,
    ClientECDHEPSK,
    ClientPSKIdentity,
    ClientRSA,
    ServerECDHAnon,
    ServerECDHE,
    ServerECDHEParameters,
    ServerECDHEPSK,
    ServerPSKHint,
)
from twoway.dtls.messages.tickets import NewSessionTicket
from twoway.dtls.negotiation import (
    EMPTY_RENEGOTIATION_INFO,
    answered_type_untrusted,
    offered_extensions,
    parse_max_fragment_length_untrusted,
    parse_record_size_limit_untrusted,
    takes_uncompressed_points_untrusted,
)
from twoway.dtls.record import DTLS_1_2
from twoway.dtls.rsa_transport import encrypt_premaster, make_premaster
from twoway.dtls.session import HeldSession, Session, SessionUnusable
from twoway.dtls.signatures import SignatureScheme, choose_scheme, verify_untrusted
from twoway.dtls.states import ClientState
from twoway.dtls.suites import CipherSuite, KeyExchange
from twoway.dtls.wire import Reader
from twoway.identity import PSKIdentity, Unauthenticated, X509Identity
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
        self._server_type = self._client_type = int(CertificateType.X509)
        self._server_share: ServerECDHEParameters | None = None
        self._is_asked_for_certificate = False
        self._credential: Credential | None = None
        self._scheme: SignatureScheme | None = None
        self._offered = surroundings.session
        self._given_session_id = b""
        self._is_promised_ticket = False
        self._given_ticket: NewSessionTicket | None = None

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
            extensions=offered_extensions(self._config, self._suites, self._connection_id),
        )
        self._offer_session()
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
        handler = self.TRANSITIONS.get(self.state, {}).get(message.type)
        if handler is None:
            self._refuse_unexpected(message)
        if message.type not in (HandshakeType.HELLO_VERIFY_REQUEST, HandshakeType.FINISHED):
            self._note(message)
        handler(self, message)

    # --- flights 1 to 3 -------------------------------------------------------------------------

    def _offer_session(self) -> None:
        """Put the session's name into the hello, if it may be resumed; else the handshake is full."""
        if self._offered is None:
            return
        try:
            self._require_resumable(self._offered.session)
            self._hello = name_session(self._hello, self._offered, self._config.mtu_bytes, self._entropy)
        except SessionUnusable as unusable:
            self._link.declined_session(str(unusable))
            self._offered = None

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
        self._server_random = hello.random
        self._suite = suite
        self._accept_extensions_untrusted(hello, suite)
        offered = self._offered
        if offered is not None and hello.session_id and hello.session_id == self._hello.session_id:
            self._accept_resumption_untrusted(offered.session, suite)
        else:
            self._given_session_id = hello.session_id
            self._enter(_AFTER_SERVER_HELLO[suite.key_exchange])

    def _accept_resumption_untrusted(self, session: Session, suite: CipherSuite) -> None:
        """RFC 5246 section 7.4.1.3: the server took the session, and has to keep to it."""
        if suite.code != session.suite or self._has_encrypt_then_mac != session.encrypt_then_mac:
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, "the server resumes the session with another protection"
            )
        if self._max_fragment_length not in (None, session.max_fragment_length):
            # RFC 6066 section 1.1: servers do not answer it again; some do, and must not say anything else.
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, "the server resumes the session with other record lengths"
            )
        if not self._has_extended_master_secret:
            # RFC 7627 section 5.3
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE,
                "the server resumes the session without the extended master secret",
            )
        self._resume(session, suite)
        self._await_last_flight()

    def _accept_extensions_untrusted(self, hello: ServerHello, suite: CipherSuite) -> None:
        extensions = hello.extensions
        if not set(extensions) <= set(self._hello.extensions):
            raise HandshakeFailure(
                AlertDescription.UNSUPPORTED_EXTENSION, "the server answered an extension not offered"
            )
        if extensions.get(ExtensionType.RENEGOTIATION_INFO) != EMPTY_RENEGOTIATION_INFO:
            # RFC 5746 section 3.4; without it a spliced-in renegotiation could not be told apart.
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE, "the server does not answer renegotiation_info (RFC 5746)"
            )
        if not takes_uncompressed_points_untrusted(extensions):
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, "the peer does not take uncompressed points"
            )
        self._accept_extended_master_secret(extensions)
        self._agree_on_connection_ids_untrusted(extensions)
        self._accept_encrypt_then_mac_untrusted(hello, suite)
        self._accept_certificate_types_untrusted(hello)
        self._accept_limits_untrusted(hello)
        if extensions.get(ExtensionType.SESSION_TICKET):
            raise HandshakeFailure(
                AlertDescription.DECODE_ERROR, "the server's session_ticket extension is not empty"
            )
        self._is_promised_ticket = ExtensionType.SESSION_TICKET in extensions

    def _accept_encrypt_then_mac_untrusted(self, hello: ServerHello, suite: CipherSuite) -> None:
        answer = hello.extensions.get(ExtensionType.ENCRYPT_THEN_MAC)
        self._has_encrypt_then_mac = answer is not None
        if answer is not None and (answer or not suite.is_cbc):
            # RFC 7366 section 3: not with a suite that it does not apply to.
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, "the server's encrypt_then_mac does not belong there"
            )
        if suite.is_cbc and answer is None and not self._config.admits_mac_then_encrypt:
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE, "the server chose CBC without encrypt-then-MAC (RFC 7366)"
            )

    def _accept_certificate_types_untrusted(self, hello: ServerHello) -> None:
        """RFC 7250 section 4.2: the server chose from what we can judge and what we can show."""
        self._server_type = answered_type_untrusted(hello.extensions, ExtensionType.SERVER_CERTIFICATE_TYPE)
        self._client_type = answered_type_untrusted(hello.extensions, ExtensionType.CLIENT_CERTIFICATE_TYPE)
        answered = ExtensionType.CLIENT_CERTIFICATE_TYPE in hello.extensions
        if answered and self._config.own_credential(self._client_type) is None:
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, "the server wants a certificate type that was not offered"
            )

    def _accept_limits_untrusted(self, hello: ServerHello) -> None:
        limit = parse_record_size_limit_untrusted(hello.extensions)
        length = parse_max_fragment_length_untrusted(hello.extensions)
        if limit is not None and length is not None:
            # RFC 8449 section 5
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, "the server answered both limits of a record's length"
            )
        if limit is not None:
            self._link.limit_plaintext(sent=limit, received=self._config.record_size_limit)
        elif length is not None:
            if length != self._config.max_fragment_length:  # RFC 6066 section 4
                raise HandshakeFailure(
                    AlertDescription.ILLEGAL_PARAMETER, "the server answered another max_fragment_length"
                )
            self._max_fragment_length = length
            self._link.limit_plaintext(sent=length, received=length)

    def _receive_certificate(self, message: HandshakeMessage) -> None:
        assert self._suite is not None
        if self._server_type not in self._config.verifiable_types:
            raise HandshakeFailure(
                AlertDescription.UNSUPPORTED_CERTIFICATE, "the server shows a certificate type not offered"
            )
        self._judge_certificate_untrusted(message.body, self._server_type, Purpose.SERVER)
        assert self._peer_key is not None
        exchange = self._suite.key_exchange
        if not exchange.fits(self._peer_key):
            raise HandshakeFailure(
                AlertDescription.UNSUPPORTED_CERTIFICATE, "the server's key is of another kind than its suite"
            )
        if exchange is not KeyExchange.RSA:
            self._enter(ClientState.SERVER_KEY_EXCHANGE)
            return
        if isinstance(self._peer, X509Identity):
            require_key_encipherment(self._peer)
        self._enter(ClientState.CERTIFICATE_REQUEST_OR_DONE)

    def _receive_server_key_exchange(self, message: HandshakeMessage) -> None:
        assert self._suite is not None
        after = ClientState.SERVER_HELLO_DONE
        if self._suite.key_exchange is KeyExchange.ECDHE_PSK:
            parameters = ServerECDHEPSK.parse_untrusted(message.body).parameters
        elif self._suite.key_exchange is KeyExchange.ECDH_ANON:
            parameters = ServerECDHAnon.parse_untrusted(message.body).parameters
        else:
            parameters = self._verify_share_untrusted(ServerECDHE.parse_untrusted(message.body))
            after = ClientState.CERTIFICATE_REQUEST_OR_DONE
        if parameters.group not in self._config.groups:
            raise HandshakeFailure(
                AlertDescription.ILLEGAL_PARAMETER, f"the server chose group {parameters.group}"
            )
        self._server_share = parameters
        self._enter(after)

    def _verify_share_untrusted(self, share: ServerECDHE) -> ServerECDHEParameters:
        """RFC 8422 section 5.4: the server's key signs both randoms and its point."""
        assert self._peer_key is not None
        signed = self._client_random + self._server_random + share.parameters.encode()
        verify_untrusted(
            self._peer_key, self._config.signature_schemes, share.scheme, share.signature, signed
        )
        return share.parameters

    def _receive_psk_hint(self, message: HandshakeMessage) -> None:
        ServerPSKHint.parse_untrusted(message.body)
        self._enter(ClientState.SERVER_HELLO_DONE)

    def _receive_certificate_request(self, message: HandshakeMessage) -> None:
        """Choose what to show; nothing, if a one-sided handshake is admitted and nothing of ours fits."""
        request = CertificateRequest.parse_untrusted(message.body)
        self._is_asked_for_certificate = True
        credential = None
        if HandshakeKind.FULL in self._config.admit:
            credential = self._config.own_credential(self._client_type)
        if credential is not None:
            self._scheme = choose_scheme(
                self._config.signature_schemes, request.schemes, credential.public_key
            )
            if self._scheme is None or ClientCertificateType.of(credential.public_key) not in request.types:
                credential = None
        if credential is None and HandshakeKind.SERVER_AUTHENTICATED not in self._config.admit:
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE, "the server takes no signature that our key can make"
            )
        self._credential = credential
        self._enter(ClientState.SERVER_HELLO_DONE)

    def _receive_one_sided_done(self, message: HandshakeMessage) -> None:
        """The server does not ask who we are."""
        if HandshakeKind.SERVER_AUTHENTICATED not in self._config.admit:
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE,
                "the server does not ask for our certificate, and only two-way authentication is admitted",
            )
        self._receive_server_hello_done(message)

    def _receive_server_hello_done(self, message: HandshakeMessage) -> None:
        Reader(message.body, "ServerHelloDone").end_untrusted()
        assert self._suite is not None
        exchange = self._suite.key_exchange
        if exchange.uses_psk:
            self._say_psk_flight(exchange)
        elif exchange is KeyExchange.ECDH_ANON:
            self._kind, self._peer = HandshakeKind.ANONYMOUS, Unauthenticated()
            self._say_ecdhe_key_exchange()
            self._say_last_flight()
        else:
            self._say_certificate_flight(exchange)

    # --- flight 5 -------------------------------------------------------------------------------

    def _say_certificate_flight(self, exchange: KeyExchange) -> None:
        credential = self._credential
        self._kind = HandshakeKind.SERVER_AUTHENTICATED if credential is None else HandshakeKind.FULL
        if self._is_asked_for_certificate:
            nothing = Certificate(()).encode()
            self._say(HandshakeType.CERTIFICATE, nothing if credential is None else credential.message)
        if exchange is KeyExchange.RSA:
            self._say_rsa_key_exchange()
        else:
            self._say_ecdhe_key_exchange()
        if credential is None:
            self._say_last_flight()
            return
        assert self._scheme is not None
        # RFC 5246 section 7.4.8: signed is every message so far, without CertificateVerify itself.
        self._enter(ClientState.SIGNATURE)
        self._sign(credential, self._scheme, self._transcript, self._say_certificate_verify)

    def _say_ecdhe_key_exchange(self) -> None:
        point, premaster = self._agree_untrusted()
        self._say(HandshakeType.CLIENT_KEY_EXCHANGE, ClientECDHE(point).encode())
        self._derive_keys(premaster)

    def _say_rsa_key_exchange(self) -> None:
        assert isinstance(self._peer_key, rsa.RSAPublicKey)
        premaster = make_premaster(self._entropy)
        ciphertext = encrypt_premaster(self._peer_key, premaster)
        self._say(HandshakeType.CLIENT_KEY_EXCHANGE, ClientRSA(ciphertext).encode())
        self._derive_keys(premaster)

    def _say_psk_flight(self, exchange: KeyExchange) -> None:
        assert self._config.psk is not None
        identity, key = self._config.psk.identity, self._config.psk.key
        if self._config.counts_as_revoked(PSKIdentity(identity)):
            raise HandshakeFailure(
                AlertDescription.ACCESS_DENIED, f"the pre-shared key was revoked: {PSKIdentity(identity)}"
            )
        if exchange is KeyExchange.ECDHE_PSK:
            point, shared = self._agree_untrusted()
            body = ClientECDHEPSK(identity, point).encode()
            premaster = keys.psk_premaster(key, shared)
        else:
            body = ClientPSKIdentity(identity).encode()
            premaster = keys.psk_premaster(key)
        self._say(HandshakeType.CLIENT_KEY_EXCHANGE, body)
        self._derive_keys(premaster)
        self._kind, self._peer = HandshakeKind.FULL, PSKIdentity(identity)
        self._say_last_flight()

    def _agree_untrusted(self) -> tuple[bytes, bytes]:
        """Return our point and the secret that it makes with the server's."""
        assert self._server_share is not None
        group = NamedGroup(self._server_share.group)
        ours = EphemeralKey(group)
        self._group = group.label
        return ours.point, ours.agree_untrusted(self._server_share.point)

    def _say_certificate_verify(self, signature: bytes) -> None:
        assert self._scheme is not None
        verify = CertificateVerify(self._scheme, signature)
        self._say(HandshakeType.CERTIFICATE_VERIFY, verify.encode())
        self._say_last_flight()

    def _say_last_flight(self) -> None:
        self._say_finished()
        self._await_last_flight()
        self._send_flight(awaits_answer=True)

    def _await_last_flight(self) -> None:
        is_promised = self._is_promised_ticket
        self._enter(ClientState.NEW_SESSION_TICKET if is_promised else ClientState.CHANGE_CIPHER_SPEC)

    # --- flight 6, or flight 4 of an abbreviated handshake --------------------------------------

    def _receive_new_session_ticket(self, message: HandshakeMessage) -> None:
        """It counts only after the server's Finished (RFC 5077 section 3.3)."""
        self._given_ticket = NewSessionTicket.parse_untrusted(message.body)
        self._enter(ClientState.CHANGE_CIPHER_SPEC)

    def _receive_finished(self, message: HandshakeMessage) -> None:
        self._check_finished(message)
        if self._is_resumed:
            self._say_finished()
            self._send_flight(awaits_answer=False)
        self._enter(ClientState.CONNECTED)
        self._complete(self._keep_session())

    def _keep_session(self) -> HeldSession | None:
        """Return what may be offered next time. A resumed session ends when it would have ended before."""
        offered, self._offered = self._offered, None
        if self._is_resumed:
            held = offered
        else:
            session = self._new_session()
            held = HeldSession(session, self._given_session_id) if session is not None else None
        if held is not None and self._given_ticket is not None and self._given_ticket.ticket:
            held = with_ticket(held, self._given_ticket, self._wall_clock())
        return held if held is not None and (held.session_id or held.ticket) else None

    # --- which message may come when ------------------------------------------------------------

    TRANSITIONS: ClassVar[
        Mapping[ClientState, Mapping[int, Callable[[ClientHandshake, HandshakeMessage], None]]]
    ] = {
        ClientState.SERVER_HELLO: {
            HandshakeType.HELLO_VERIFY_REQUEST: _receive_hello_verify_request,
            HandshakeType.SERVER_HELLO: _receive_server_hello,
        },
        ClientState.CERTIFICATE: {HandshakeType.CERTIFICATE: _receive_certificate},
        ClientState.SERVER_KEY_EXCHANGE: {HandshakeType.SERVER_KEY_EXCHANGE: _receive_server_key_exchange},
        ClientState.CERTIFICATE_REQUEST_OR_DONE: {
            HandshakeType.CERTIFICATE_REQUEST: _receive_certificate_request,
            HandshakeType.SERVER_HELLO_DONE: _receive_one_sided_done,
        },
        ClientState.PSK_HINT_OR_DONE: {
            HandshakeType.SERVER_KEY_EXCHANGE: _receive_psk_hint,
            HandshakeType.SERVER_HELLO_DONE: _receive_server_hello_done,
        },
        ClientState.SERVER_HELLO_DONE: {HandshakeType.SERVER_HELLO_DONE: _receive_server_hello_done},
        ClientState.NEW_SESSION_TICKET: {HandshakeType.NEW_SESSION_TICKET: _receive_new_session_ticket},
        ClientState.FINISHED: {HandshakeType.FINISHED: _receive_finished},
    }
    """Whatever is not here is refused with unexpected_message. A HelloRequest is passed over in any state."""


_AFTER_SERVER_HELLO: Final = {
    KeyExchange.ECDHE_ECDSA: ClientState.CERTIFICATE,
    KeyExchange.ECDHE_RSA: ClientState.CERTIFICATE,
    KeyExchange.RSA: ClientState.CERTIFICATE,
    KeyExchange.ECDH_ANON: ClientState.SERVER_KEY_EXCHANGE,
    KeyExchange.PSK: ClientState.PSK_HINT_OR_DONE,
    KeyExchange.ECDHE_PSK: ClientState.SERVER_KEY_EXCHANGE,
}
"""See the module's table."""
