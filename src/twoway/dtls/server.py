"""The server's handshake: RFC 5246 section 7.3, from the ClientHello that brought a valid cookie.

The pictures are in :mod:`twoway.dtls.client`. Flights 1 and 2 are answered without memory by
:mod:`twoway.dtls.cookie`; this module begins with flight 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Final

from cryptography.hazmat.primitives.asymmetric import rsa

from twoway.dtls import keys
from twoway.dtls.abbreviated import SESSION_ID_BYTES, find_session_untrusted, make_ticket, require_offered
from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.cookie import AcceptedHello
from twoway.dtls.credentials import MAX_PSK_BYTES, MIN_PSK_BYTES, Credential
from twoway.dtls.events import DecryptionRequest
from twoway.dtls.groups import EphemeralKey
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
from twoway.dtls.messages.hello import NULL_COMPRESSION, RANDOM_BYTES, ClientHello, ExtensionType, ServerHello
from twoway.dtls.messages.key_exchange import (
    ClientECDHE,
    ClientECDHEPSK,
    ClientPSKIdentity,
    ClientRSA,
    ServerECDHAnon,
    ServerECDHE,
    ServerECDHEParameters,
    ServerECDHEPSK,
)
from twoway.dtls.messages.tickets import NewSessionTicket
from twoway.dtls.negotiation import (
    EMPTY_RENEGOTIATION_INFO,
    Choice,
    Offer,
    answered_extensions,
    choose,
)
from twoway.dtls.record import DTLS_1_2
from twoway.dtls.rsa_transport import PREMASTER_BYTES, choose_premaster, decrypt_untrusted
from twoway.dtls.session import HeldSession, Session, SessionUnusable
from twoway.dtls.signatures import verify_untrusted
from twoway.dtls.states import ServerState
from twoway.dtls.suites import KeyExchange
from twoway.identity import PSKIdentity, Unauthenticated
from twoway.pki import Purpose

CLIENT_CERTIFICATE_TYPES: Final = (ClientCertificateType.ECDSA_SIGN, ClientCertificateType.RSA_SIGN)


class ServerHandshake(Handshake):
    """Answers; see the picture in :mod:`twoway.dtls.client`."""

    is_client = False

    def __init__(self, surroundings: Surroundings, link: Link, accepted: AcceptedHello) -> None:
        # The cookie exchange took the numbers below the hello's (RFC 6347 section 4.2.2).
        super().__init__(surroundings, link, first_seq=accepted.message.message_seq)
        self.state: ServerState = ServerState.START
        self._accepted = accepted
        self._credential: Credential | None = None
        self._requested_type: CertificateType | None = None
        self._ephemeral: EphemeralKey | None = None
        self._session: Session | None = None
        self._session_id = b""
        self._gives_ticket = False

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
        offer = Offer.from_hello_untrusted(hello)
        if self._resume_untrusted(hello, offer):
            return
        choice = self._choose(offer)
        self._suite, self._credential = choice.suite, choice.credential
        self._requested_type = choice.requested_type
        self._has_encrypt_then_mac = choice.encrypt_then_mac
        self._prepare_session(hello)
        self._say_server_hello(hello, offer, choice, self._session_id)
        self._accept_limits(offer)
        if choice.credential is not None:
            self._say(HandshakeType.CERTIFICATE, choice.credential.message)
        if choice.group is None:
            self._say_rest_of_flight()
        else:
            self._group = choice.group.label
            self._ephemeral = EphemeralKey(choice.group)
            parameters = ServerECDHEParameters(choice.group, self._ephemeral.point)
            self._say_share(choice, parameters)

    @property
    def awaits_change_cipher_spec(self) -> bool:
        """Whether the client has proved what it must before it may change over."""
        return self.state is ServerState.CHANGE_CIPHER_SPEC

    def receive_change_cipher_spec(self) -> None:
        """The client's Finished is due."""
        self._enter(ServerState.FINISHED)

    def receive_untrusted(self, message: HandshakeMessage) -> None:
        """Take the client's next message; see :meth:`Handshake.receive_untrusted`."""
        handler = self.TRANSITIONS.get(self.state, {}).get(message.type)
        if handler is None:
            self._refuse_unexpected(message)
        if message.type not in (HandshakeType.CERTIFICATE_VERIFY, HandshakeType.FINISHED):
            self._note(message)
        handler(self, message)

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
        self._agree_on_connection_ids_untrusted(hello.extensions)

    def _choose(self, offer: Offer) -> Choice:
        return choose(self._config, offer)

    # --- flight 4 -------------------------------------------------------------------------------

    def _say_server_hello(self, hello: ClientHello, offer: Offer, choice: Choice, session_id: bytes) -> None:
        extensions = answered_extensions(
            self._config,
            hello,
            offer,
            choice,
            extended_master_secret=self._has_extended_master_secret,
            connection_id=self._connection_id,
        )
        if self._gives_ticket:
            extensions[ExtensionType.SESSION_TICKET] = b""
        answer = ServerHello(
            version=DTLS_1_2,
            random=self._server_random,
            session_id=session_id,
            suite=choice.suite.code,
            compression=NULL_COMPRESSION,
            extensions=extensions,
        )
        self._say(HandshakeType.SERVER_HELLO, answer.encode())

    def _accept_limits(self, offer: Offer) -> None:
        self._max_fragment_length = offer.max_fragment_length
        if offer.record_size_limit is not None:
            self._link.limit_plaintext(sent=offer.record_size_limit, received=self._config.record_size_limit)
        elif offer.max_fragment_length is not None:
            self._link.limit_plaintext(sent=offer.max_fragment_length, received=offer.max_fragment_length)

    def _say_share(self, choice: Choice, parameters: ServerECDHEParameters) -> None:
        """Say ServerKeyExchange: with a signature if there is a credential, with an empty hint for a PSK."""
        credential, scheme = choice.credential, choice.scheme
        if credential is None:
            is_psk = choice.suite.key_exchange.uses_psk
            share = ServerECDHEPSK(b"", parameters) if is_psk else ServerECDHAnon(parameters)
            self._say(HandshakeType.SERVER_KEY_EXCHANGE, share.encode())
            self._say_rest_of_flight()
            return
        assert scheme is not None
        self._enter(ServerState.SIGNATURE)

        def proceed(signature: bytes) -> None:
            body = ServerECDHE(parameters, scheme, signature).encode()
            self._say(HandshakeType.SERVER_KEY_EXCHANGE, body)
            self._say_rest_of_flight()

        signed = self._client_random + self._server_random + parameters.encode()
        self._sign(credential, scheme, signed, proceed)

    def _say_rest_of_flight(self) -> None:
        if self._requested_type is not None:
            request = CertificateRequest(CLIENT_CERTIFICATE_TYPES, self._config.signature_schemes)
            self._say(HandshakeType.CERTIFICATE_REQUEST, request.encode())
        self._say(HandshakeType.SERVER_HELLO_DONE, b"")
        is_asking = self._requested_type is not None
        self._enter(ServerState.CERTIFICATE if is_asking else ServerState.CLIENT_KEY_EXCHANGE)
        self._send_flight(awaits_answer=True)

    # --- flight 5 -------------------------------------------------------------------------------

    def _receive_certificate(self, message: HandshakeMessage) -> None:
        assert self._requested_type is not None
        is_empty = message.body == Certificate(()).encode()
        if not (is_empty and HandshakeKind.SERVER_AUTHENTICATED in self._config.admit):
            self._judge_certificate_untrusted(message.body, self._requested_type, Purpose.CLIENT)
        self._enter(ServerState.CLIENT_KEY_EXCHANGE)

    def _receive_client_key_exchange(self, message: HandshakeMessage) -> None:
        assert self._suite is not None
        exchange = self._suite.key_exchange
        if exchange.uses_psk:
            self._receive_psk_untrusted(exchange, message.body)
            self._enter(ServerState.CHANGE_CIPHER_SPEC)
        elif exchange is KeyExchange.RSA:
            self._receive_premaster_untrusted(message.body)
        else:
            self._go_on_with(self._agree_untrusted(ClientECDHE.parse_untrusted(message.body).point))

    def _go_on_with(self, premaster: bytes) -> None:
        """Derive the keys; then the client proves its certificate's key, if it has shown one."""
        self._derive_keys(premaster)
        if self._peer_key is not None:
            self._kind = HandshakeKind.FULL
            self._enter(ServerState.CERTIFICATE_VERIFY)
            return
        self._peer = Unauthenticated()
        is_proved = self._credential is not None
        self._kind = HandshakeKind.SERVER_AUTHENTICATED if is_proved else HandshakeKind.ANONYMOUS
        self._enter(ServerState.CHANGE_CIPHER_SPEC)

    def _agree_untrusted(self, point: bytes) -> bytes:
        """Return the secret that the client's point makes with ours, which is forgotten by this."""
        assert self._ephemeral is not None
        ephemeral, self._ephemeral = self._ephemeral, None
        return ephemeral.agree_untrusted(point)

    def _receive_psk_untrusted(self, exchange: KeyExchange, body: bytes) -> None:
        if exchange is KeyExchange.ECDHE_PSK:
            message = ClientECDHEPSK.parse_untrusted(body)
            identity, shared = message.identity, self._agree_untrusted(message.point)
            premaster = keys.psk_premaster(self._look_up_psk(identity), shared)
        else:
            identity = ClientPSKIdentity.parse_untrusted(body).identity
            premaster = keys.psk_premaster(self._look_up_psk(identity))
        self._derive_keys(premaster)
        self._kind, self._peer = HandshakeKind.FULL, PSKIdentity(identity)

    def _look_up_psk(self, identity: bytes) -> bytes:
        """Return the key of an identity; for an unknown or revoked one a random key, under which no Finished
        will ever verify, so that a stranger cannot find out which identities exist (RFC 4279 section 2)."""
        assert self._config.psk_lookup is not None
        stand_in = self._entropy(MIN_PSK_BYTES)
        key = self._config.psk_lookup(identity)
        if key is None or not MIN_PSK_BYTES <= len(key) <= MAX_PSK_BYTES:
            return stand_in
        return stand_in if self._config.counts_as_revoked(PSKIdentity(identity)) else key

    def _receive_premaster_untrusted(self, body: bytes) -> None:
        """RFC 5246 section 7.4.7.1: whatever the ciphertext is like, what follows looks the same."""
        assert self._credential is not None
        ciphertext = ClientRSA.parse_untrusted(body).encrypted_premaster
        stand_in = self._entropy(PREMASTER_BYTES)
        version = self._accepted.hello.version

        def proceed(plaintext: bytes | None) -> None:
            self._go_on_with(choose_premaster(plaintext, version, stand_in))

        if isinstance(self._credential.private_key, rsa.RSAPrivateKey):
            proceed(decrypt_untrusted(self._credential.private_key, ciphertext))
            return
        self._enter(ServerState.DECRYPTION)
        self._on_decryption = proceed
        self._link.request(DecryptionRequest(ciphertext, self._credential))

    def _receive_certificate_verify(self, message: HandshakeMessage) -> None:
        assert self._peer_key is not None
        verify = CertificateVerify.parse_untrusted(message.body)
        verify_untrusted(
            self._peer_key,
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
        if not self._is_resumed:
            self._session = self._new_session()
            if self._gives_ticket:
                self._say_ticket()
            self._say_finished()
            self._send_flight(awaits_answer=False)
        self._enter(ServerState.CONNECTED)
        self._complete(self._keep_session())

    # --- sessions -------------------------------------------------------------------------------

    def _resume_untrusted(self, hello: ClientHello, offer: Offer) -> bool:
        """Answer with flight 4 of an abbreviated handshake, if the client names a session that will do.

        Returns:
            Whether it does; otherwise nothing has happened.
        """
        at = self._wall_clock()
        try:
            session = find_session_untrusted(self._config, hello, at)
            if session is None:
                return False
            suite = self._require_resumable(session)
            require_offered(session, suite, hello, offer)
        except SessionUnusable as unusable:
            self._link.declined_session(str(unusable))
            return False
        ticket = hello.extensions.get(ExtensionType.SESSION_TICKET, b"")
        self._session = session
        self._session_id = b"" if ticket else hello.session_id
        self._gives_ticket = bool(ticket) and self._is_ticket_old(ticket, at)
        choice = Choice(suite, None, None, None, None, session.encrypt_then_mac)
        # RFC 6066 section 1.1: the session's max_fragment_length goes on, and is not answered again.
        offer = replace(offer, max_fragment_length=None)
        self._say_server_hello(hello, offer, choice, hello.session_id)
        self._resume(session, suite)
        self._accept_limits(offer)
        if self._gives_ticket:
            self._say_ticket()
        self._say_finished()
        self._enter(ServerState.CHANGE_CIPHER_SPEC)
        self._send_flight(awaits_answer=True)
        return True

    def _prepare_session(self, hello: ClientHello) -> None:
        """Decide how the client of a full handshake may name its session: by ticket, by ID, or not at all."""
        resumption = self._config.resumption
        if resumption is None:
            return
        if resumption.tickets is not None and ExtensionType.SESSION_TICKET in hello.extensions:
            self._gives_ticket = True
        elif resumption.store is not None:
            self._session_id = self._entropy(SESSION_ID_BYTES)

    def _is_ticket_old(self, ticket: bytes, at: datetime) -> bool:
        """Whether a ticket was sealed with the key before the present one, and so has to be replaced."""
        assert self._config.resumption is not None
        assert self._config.resumption.tickets is not None
        return not self._config.resumption.tickets.is_fresh(ticket, at=at)

    def _say_ticket(self) -> None:
        """Say NewSessionTicket; an empty one, if there is no session after all (RFC 5077 section 3.3)."""
        assert self._config.resumption is not None
        message = NewSessionTicket(0, b"")
        if self._session is not None:
            message = make_ticket(self._config.resumption, self._session, self._wall_clock(), self._entropy)
        self._say(HandshakeType.NEW_SESSION_TICKET, message.encode())

    def _keep_session(self) -> HeldSession | None:
        """Store the session under the ID that the client was given, and return it."""
        session, self._session = self._session, None
        if session is None:
            return None
        assert self._config.resumption is not None
        store = self._config.resumption.store
        if not self._is_resumed and store is not None and self._session_id:
            store.keep(self._session_id, session)
        return HeldSession(session, self._session_id)

    # --- which message may come when ------------------------------------------------------------

    TRANSITIONS: ClassVar[
        Mapping[ServerState, Mapping[int, Callable[[ServerHandshake, HandshakeMessage], None]]]
    ] = {
        ServerState.CERTIFICATE: {HandshakeType.CERTIFICATE: _receive_certificate},
        ServerState.CLIENT_KEY_EXCHANGE: {HandshakeType.CLIENT_KEY_EXCHANGE: _receive_client_key_exchange},
        ServerState.CERTIFICATE_VERIFY: {HandshakeType.CERTIFICATE_VERIFY: _receive_certificate_verify},
        ServerState.FINISHED: {HandshakeType.FINISHED: _receive_finished},
    }
    """Whatever is not here is refused with unexpected_message."""
