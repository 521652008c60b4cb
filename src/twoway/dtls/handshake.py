"""What both sides of a handshake share: transcript, message numbers, key schedule, Finished.

The two sides are :mod:`twoway.dtls.client` and :mod:`twoway.dtls.server`, one function a state. They see
whole messages in order and say what to send through a :class:`Link`; records, fragments, timers and
retransmission are the link's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NoReturn, Protocol

from cryptography.hazmat.primitives import constant_time
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from twoway.dtls import keys
from twoway.dtls.abbreviated import require_resumable, session_context, session_end
from twoway.dtls.alerts import AlertDescription, HandshakeFailure
from twoway.dtls.config import DTLSConfig
from twoway.dtls.connection_id import ConnectionIDs, parse_extension_untrusted
from twoway.dtls.credentials import Credential, verify_chain_untrusted, verify_raw_key_untrusted
from twoway.dtls.events import Connected, DecryptionRequest, SignatureRequest
from twoway.dtls.flights import Flight, FlightItem
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.messages.certificates import Certificate, CertificateType, RawPublicKey
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.messages.hello import Extensions, ExtensionType
from twoway.dtls.session import HeldSession, Session, SessionUnusable
from twoway.dtls.signatures import SignatureScheme, sign
from twoway.dtls.states import State
from twoway.dtls.suites import CipherSuite
from twoway.identity import Identity
from twoway.pki import Purpose


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a handshake may not fetch by itself."""

    config: DTLSConfig
    entropy: Callable[[int], bytes]
    wall_clock: Callable[[], datetime]
    connection_id: bytes | None = None
    """What the peer is to write into its records; empty: nothing; None: connection IDs are not spoken."""
    session: HeldSession | None = None
    """What a client offers to resume."""


class Link(Protocol):
    """What a handshake asks of the association around it."""

    def send_flight(self, flight: Flight) -> None:
        """Send a flight and keep it for retransmission."""

    def use_connection_ids(self, ids: ConnectionIDs, *, is_checked: bool) -> None:
        """Protected records carry these IDs; ``is_checked``: both sides check new paths (RFC 9853)."""

    def install_keys(self, epoch_keys: keys.EpochKeys) -> None:
        """Make epoch 1 ready. Reading starts at the peer's ChangeCipherSpec, writing at ours."""

    def limit_plaintext(self, *, sent: int | None, received: int | None) -> None:
        """Bound the plaintext of each record from here on, in bytes; None: no bound of this kind."""

    def request(self, request: SignatureRequest | DecryptionRequest) -> None:
        """Ask the caller's key; :meth:`Handshake.signed` or :meth:`Handshake.decrypted` follows."""

    def complete(self, connected: Connected, held: HeldSession | None) -> None:
        """The handshake is over and good, and this is the session that can be resumed, if there is one."""

    def declined_session(self, why: str) -> None:
        """A session was at hand, and the handshake goes on in full."""

    def entered(self, state: State) -> None:
        """The handshake has entered a state."""


class Handshake(ABC):
    """One side's handshake.

    Args:
        surroundings: configuration, randomness and time.
        link: who sends and receives for us.
        first_seq: the message_seq of our first message.
    """

    is_client: ClassVar[bool]
    state: State

    def __init__(self, surroundings: Surroundings, link: Link, first_seq: int) -> None:
        self._config = surroundings.config
        self._entropy = surroundings.entropy
        self._wall_clock = surroundings.wall_clock
        self._connection_id = surroundings.connection_id
        self._link = link
        self._next_seq = first_seq
        self._transcript = b""
        self._flight: list[FlightItem] = []
        self._client_random = b""
        self._server_random = b""
        self._suite: CipherSuite | None = None
        self._group: str | None = None
        self._kind: HandshakeKind | None = None
        self._peer: Identity | None = None
        self._peer_key: PublicKeyTypes | None = None
        self._is_resumed = False
        self._max_fragment_length: int | None = None
        self._has_encrypt_then_mac = False
        self._has_extended_master_secret = False
        self._master_secret = b""
        self._on_signature: Callable[[bytes], None] | None = None
        self._on_decryption: Callable[[bytes | None], None] | None = None

    # --- what the association calls -------------------------------------------------------------

    @property
    def rests_on_shared_key(self) -> bool:
        """Whether this handshake proves both sides by a pre-shared key."""
        return self._suite is not None and self._suite.key_exchange.uses_psk and not self._is_resumed

    @property
    @abstractmethod
    def awaits_change_cipher_spec(self) -> bool:
        """Whether the peer's ChangeCipherSpec is the next thing that may come."""

    @abstractmethod
    def receive_change_cipher_spec(self) -> None:
        """The peer speaks epoch 1 from here on."""

    @abstractmethod
    def receive_untrusted(self, message: HandshakeMessage) -> None:
        """Take the peer's next message, whole and in order.

        Raises:
            HandshakeFailure: the handshake is over and the peer is to be told why.
        """

    def signed(self, signature: bytes) -> None:
        """The caller's key has signed what was asked for."""
        assert self._on_signature is not None, "no signature was asked for"
        proceed, self._on_signature = self._on_signature, None
        proceed(signature)

    def decrypted(self, plaintext: bytes | None) -> None:
        """The caller's key has decrypted what was asked for, or has not."""
        assert self._on_decryption is not None, "no decryption was asked for"
        proceed, self._on_decryption = self._on_decryption, None
        proceed(plaintext)

    # --- transcript (RFC 6347 section 4.2.6) ----------------------------------------------------

    def _note(self, message: HandshakeMessage) -> None:
        self._transcript += message.encode()

    def _say(self, kind: HandshakeType, body: bytes, *, epoch: int = 0) -> None:
        """Put a message of ours into the flight and the transcript."""
        message = HandshakeMessage(kind, self._next_seq, body)
        self._next_seq += 1
        self._note(message)
        self._flight.append(FlightItem(epoch, message))

    def _send_flight(self, *, awaits_answer: bool) -> None:
        flight = Flight(tuple(self._flight), awaits_answer)
        self._flight = []
        self._link.send_flight(flight)

    # --- key schedule ---------------------------------------------------------------------------

    def _derive_keys(self, premaster: bytes) -> None:
        """Make the master secret and epoch 1's keys; the transcript ends with ClientKeyExchange."""
        assert self._suite is not None
        prf_hash = self._suite.prf_hash
        if self._has_extended_master_secret:
            session_hash = keys.handshake_hash(prf_hash, self._transcript)  # RFC 7627 section 3
            self._master_secret = keys.extended_master_secret(prf_hash, premaster, session_hash)
        else:
            self._master_secret = keys.master_secret(
                prf_hash, premaster, self._client_random, self._server_random
            )
        self._install_keys()

    def _install_keys(self) -> None:
        """Expand the master secret into epoch 1's keys."""
        assert self._suite is not None
        if self._config.unsafe_key_log is not None:
            self._config.unsafe_key_log(key_log_line(self._client_random, self._master_secret))
        block = keys.key_block(self._suite, self._master_secret, self._client_random, self._server_random)
        read, write = (block.server, block.client) if self.is_client else (block.client, block.server)
        self._link.install_keys(keys.EpochKeys(self._suite, self._has_encrypt_then_mac, read, write))

    # --- sessions (RFC 5246 section 7.3) --------------------------------------------------------

    def _require_resumable(self, session: Session) -> CipherSuite:
        """Return the suite of a session that may be resumed, as far as we are concerned.

        Raises:
            SessionUnusable: it may not.
        """
        return require_resumable(
            self._config,
            session,
            is_client=self.is_client,
            is_revoked=self._config.counts_as_revoked,
            at=self._wall_clock(),
        )

    def _resume(self, session: Session, suite: CipherSuite) -> None:
        """Take up a session: what it holds is not negotiated and not proved again."""
        self._is_resumed = True
        self._suite = suite
        self._kind, self._peer = session.kind, session.peer
        if session.max_fragment_length is not None:
            # RFC 6066 section 4: it lasts as long as the session, without being negotiated again.
            self._link.limit_plaintext(sent=session.max_fragment_length, received=session.max_fragment_length)
        self._has_encrypt_then_mac = session.encrypt_then_mac
        self._master_secret = session.master_secret
        self._install_keys()

    def _new_session(self) -> Session | None:
        """Return the session of a full handshake that is complete, or None if there is none to be resumed."""
        assert self._suite is not None
        assert self._peer is not None
        assert self._kind is not None
        if self._config.resumption is None or not self._has_extended_master_secret:
            return None
        if self._kind is HandshakeKind.ANONYMOUS:
            return None
        try:
            return Session(
                suite=self._suite.code,
                master_secret=self._master_secret,
                encrypt_then_mac=self._has_encrypt_then_mac,
                max_fragment_length=self._max_fragment_length,
                kind=self._kind,
                peer=self._peer,
                not_after=session_end(self._config, self._peer, self._wall_clock()),
                context=session_context(self._config, self._peer, is_client=self.is_client),
            )
        except SessionUnusable as unusable:
            self._link.declined_session(str(unusable))
            return None

    def _accept_extended_master_secret(self, extensions: Extensions) -> None:
        """RFC 7627 section 5: go without only where that is allowed by name."""
        if extensions.get(ExtensionType.EXTENDED_MASTER_SECRET, b""):
            raise HandshakeFailure(
                AlertDescription.DECODE_ERROR, "the peer's extended_master_secret extension is not empty"
            )
        self._has_extended_master_secret = ExtensionType.EXTENDED_MASTER_SECRET in extensions
        if (
            not self._has_extended_master_secret
            and not self._config.unsafe_allow_missing_extended_master_secret
        ):
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE,
                "the peer does not know the extended master secret (RFC 7627)",
            )

    # --- the peer's proof -----------------------------------------------------------------------

    def _judge_certificate_untrusted(self, body: bytes, kind: int, purpose: Purpose) -> None:
        """Judge a Certificate message; what the peer still has to do is to prove the key.

        Raises:
            HandshakeFailure: it is not acceptable.
        """
        if kind == CertificateType.RAW_PUBLIC_KEY:
            spki = RawPublicKey.parse_untrusted(body).spki
            self._peer, self._peer_key = verify_raw_key_untrusted(self._config.believes_raw_key, spki)
        else:
            assert self._config.trust is not None
            chain = Certificate.parse_untrusted(body).chain
            at = self._wall_clock()
            self._peer, self._peer_key = verify_chain_untrusted(
                self._config.trust, chain, purpose=purpose, at=at
            )
        if self._config.counts_as_revoked(self._peer):
            raise HandshakeFailure(
                AlertDescription.CERTIFICATE_REVOKED, f"the peer's identity was revoked: {self._peer}"
            )

    # --- connection IDs -------------------------------------------------------------------------

    def _agree_on_connection_ids_untrusted(self, extensions: Extensions) -> None:
        """RFC 9146 section 3, RFC 9853 section 3: each side says what it wants to be called.

        Raises:
            HandshakeFailure: with ``decode_error``, for an extension that is not as its RFC says.
        """
        asked = extensions.get(ExtensionType.CONNECTION_ID)
        if self._connection_id is None or asked is None:
            return
        if extensions.get(ExtensionType.RRC):
            raise HandshakeFailure(AlertDescription.DECODE_ERROR, "the peer's rrc extension is not empty")
        ids = ConnectionIDs(ours=self._connection_id, peers=parse_extension_untrusted(asked))
        self._link.use_connection_ids(ids, is_checked=ExtensionType.RRC in extensions)

    # --- signatures -----------------------------------------------------------------------------

    def _sign(
        self, credential: Credential, scheme: SignatureScheme, data: bytes, then: Callable[[bytes], None]
    ) -> None:
        """Sign now with a key at hand and go on, or ask for it."""
        if credential.private_key is not None:
            then(sign(credential.private_key, scheme, data))
            return
        self._on_signature = then
        self._link.request(SignatureRequest(data, scheme, credential))

    # --- Finished (RFC 5246 section 7.4.9) ------------------------------------------------------

    def _say_finished(self) -> None:
        """Put ChangeCipherSpec and Finished into the flight."""
        self._flight.append(FlightItem(0, None))
        body = self._verify_data(of_client=self.is_client)
        self._say(HandshakeType.FINISHED, body, epoch=1)

    def _check_finished(self, message: HandshakeMessage) -> None:
        expected = self._verify_data(of_client=not self.is_client)
        if not constant_time.bytes_eq(expected, message.body):
            raise HandshakeFailure(
                AlertDescription.DECRYPT_ERROR, "the peer's Finished does not match this handshake"
            )
        self._note(message)

    def _verify_data(self, *, of_client: bool) -> bytes:
        assert self._suite is not None
        prf_hash = self._suite.prf_hash
        return keys.verify_data(
            prf_hash,
            self._master_secret,
            of_client=of_client,
            handshake_hash=keys.handshake_hash(prf_hash, self._transcript),
        )

    def _complete(self, held: HeldSession | None) -> None:
        assert self._peer is not None
        assert self._suite is not None
        assert self._kind is not None
        if self._kind not in self._config.admit:  # looked at before; nothing less may ever be handed up
            raise HandshakeFailure(
                AlertDescription.HANDSHAKE_FAILURE, f"a handshake of kind {self._kind.value} is not admitted"
            )
        connected = Connected(self._peer, self._suite.name, self._group, self._kind, self._is_resumed)
        self._link.complete(connected, held)
        self._transcript = self._master_secret = b""

    # --- states ---------------------------------------------------------------------------------

    def _enter(self, state: State) -> None:
        self.state = state
        self._link.entered(state)

    def _refuse_unexpected(self, message: HandshakeMessage) -> NoReturn:
        try:
            came = HandshakeType(message.type).label
        except ValueError:
            came = f"a message of type {message.type}"
        raise HandshakeFailure(
            AlertDescription.UNEXPECTED_MESSAGE, f"the peer sent {came} while {self.state.value} was due"
        )


def key_log_line(client_random: bytes, master_secret: bytes) -> str:
    """Write a line of the key log format: label, the ClientHello's random, the master secret, in hex."""
    return f"CLIENT_RANDOM {client_random.hex()} {master_secret.hex()}"
