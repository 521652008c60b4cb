"""What an endpoint is willing to do: one frozen value, checked when it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Final

from twoway.dtls.connection_id import MAX_CONNECTION_ID_BYTES
from twoway.dtls.credentials import (
    PIN_BYTES,
    CertificateCredential,
    Credential,
    PSKCredential,
    PSKLookup,
    RawKeyCredential,
    can_decrypt,
)
from twoway.dtls.flights import smallest_mtu_bytes
from twoway.dtls.groups import DEFAULT_GROUPS, NamedGroup
from twoway.dtls.kinds import HandshakeKind
from twoway.dtls.messages.certificates import CertificateType
from twoway.dtls.resumption import Resumption
from twoway.dtls.signatures import DEFAULT_SCHEMES, SignatureScheme
from twoway.dtls.suites import (
    ANONYMOUS_SUITES,
    DEFAULT_SUITES,
    LEGACY_2013_SUITES,
    CipherSuite,
    KeyExchange,
)
from twoway.dtls.timers import RFC6347, Retransmission
from twoway.errors import ConfigurationError
from twoway.identity import Identity, RawPublicKeyIdentity
from twoway.pki import TrustStore

MIN_MTU_BYTES: Final = 64
"""With AES-GCM (24 bytes beside both headers of 13 and 12) this leaves 15 bytes of a message for a datagram,
and a request for a cookie takes 60 bytes in one piece. Suites of CBC need up to 90."""
MAX_MTU_BYTES: Final = 2**14
MIN_RECORD_SIZE_LIMIT: Final = 64
MAX_RECORD_SIZE_LIMIT: Final = 2**14
"""RFC 8449 section 4, for (D)TLS 1.2."""
FRAGMENT_LENGTHS: Final = (2**9, 2**10, 2**11, 2**12)
"""RFC 6066 section 4."""


@dataclass(frozen=True, kw_only=True)
class DTLSConfig:
    """Credentials, what to offer, and how patiently.

    Only the fully authenticated handshake is admitted unless ``admit`` says otherwise. For it an endpoint
    needs something to prove itself with and something to judge the peer by: a certificate or raw key with
    trust anchors or pins, or a pre-shared key. Suites that the credentials cannot serve are left out by
    themselves.
    """

    certificate: CertificateCredential | None = None
    """What we prove ourselves with."""
    trust: TrustStore | None = None
    """Whose certificates we believe."""
    raw_key: RawKeyCredential | None = None
    """What we prove ourselves with to peers that have pinned it (RFC 7250)."""
    raw_key_pins: frozenset[bytes] = frozenset()
    """The raw public keys that we believe: SHA-256 of their DER SubjectPublicKeyInfo, 32 bytes each."""
    raw_key_lookup: Callable[[RawPublicKeyIdentity], bool] | None = field(default=None, repr=False)
    """Asked for raw public keys that are not among the pins: whether we believe this one now. If it raises,
    or returns anything but True, we do not. For those whose believed keys come and go while they run."""
    psk: PSKCredential | None = None
    """A client's pre-shared key."""
    psk_lookup: PSKLookup | None = field(default=None, repr=False)
    """A server's pre-shared keys."""
    admit: frozenset[HandshakeKind] = frozenset({HandshakeKind.FULL})
    """The kinds of handshake that may complete."""
    is_revoked: Callable[[Identity], bool] | None = field(default=None, repr=False)
    """Asked for the peer's identity in every handshake. If it raises, or returns anything but False, the peer
    counts as revoked."""
    suites: tuple[CipherSuite, ...] = DEFAULT_SUITES + ANONYMOUS_SUITES
    """In the order of preference; a server's order decides. Unauthenticated ones stay out unless admitted."""
    groups: tuple[NamedGroup, ...] = DEFAULT_GROUPS
    """In the order of preference."""
    signature_schemes: tuple[SignatureScheme, ...] = DEFAULT_SCHEMES
    """In the order of preference."""
    mtu_bytes: int = 1200
    """The largest UDP payload that we send during a handshake."""
    retransmission: Retransmission = RFC6347
    """When a flight is sent again."""
    handshake_timeout: float = 60.0
    """Seconds after which an unfinished handshake is given up in any case."""
    record_size_limit: int | None = None
    """The largest plaintext of a record that we take, in bytes, 64 to 2^14: the peer is told (RFC 8449)."""
    max_fragment_length: int | None = None
    """For a client: 512, 1024, 2048 or 4096 bytes of plaintext a record in both directions (RFC 6066), for
    servers that do not know ``record_size_limit``."""
    connection_id_bytes: int | None = None
    """How long an ID the peer is to write into its records, by which they are known wherever they come from
    (RFC 9146): 1 to 20 bytes; 0: none, but we write the one that the peer asks for; None: neither."""
    resumption: Resumption | None = None
    """How sessions are resumed; None: every handshake is a full one, and nothing is kept for another."""
    unsafe_allow_missing_extended_master_secret: bool = False
    """Speak with peers that lack RFC 7627. Their keys are not bound to the handshake's messages, so two
    different handshakes can end with the same keys (the triple handshake attack)."""
    unsafe_key_log: Callable[[str], None] | None = field(default=None, repr=False)
    """Takes each association's master secret as a line of the key log format that Wireshark reads
    (``CLIENT_RANDOM`` lines). Whoever has them reads everything."""

    admits_legacy_suites: ClassVar[bool] = False
    admits_mac_then_encrypt: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._check_credentials()
        self._check_suites()
        if not MIN_MTU_BYTES <= self.mtu_bytes <= MAX_MTU_BYTES:
            raise ConfigurationError(f"an MTU lies between {MIN_MTU_BYTES} and {MAX_MTU_BYTES} bytes")
        for suite in self.usable_suites(is_client=True) + self.usable_suites(is_client=False):
            needed = smallest_mtu_bytes(suite.overhead_bytes)
            if needed > self.mtu_bytes:
                raise ConfigurationError(
                    f"the MTU is {self.mtu_bytes} bytes, and {suite.name} takes at least {needed}",
                    remedy="configure a larger one, or leave such suites out",
                )
        if self.record_size_limit is not None and not (
            MIN_RECORD_SIZE_LIMIT <= self.record_size_limit <= MAX_RECORD_SIZE_LIMIT
        ):
            raise ConfigurationError(
                f"a record size limit lies between {MIN_RECORD_SIZE_LIMIT} and {MAX_RECORD_SIZE_LIMIT} bytes"
            )
        if self.max_fragment_length not in (None, *FRAGMENT_LENGTHS):
            raise ConfigurationError("a maximum fragment length is 512, 1024, 2048 or 4096 bytes")
        if not 0 <= (self.connection_id_bytes or 0) <= MAX_CONNECTION_ID_BYTES:
            raise ConfigurationError(f"a connection ID has at most {MAX_CONNECTION_ID_BYTES} bytes")

    def _check_credentials(self) -> None:
        proves = self.certificate is not None or self.raw_key is not None
        judges = self.trust is not None or self._judges_raw_keys
        if self.admit == {HandshakeKind.FULL} and proves != judges:
            raise ConfigurationError(
                "a certificate or raw key and trust anchors or pins belong together",
                remedy="give both or neither, or admit handshakes in which only the server proves itself",
            )
        if not self.admit:
            raise ConfigurationError("no kind of handshake is admitted")
        has_psk = self.psk is not None or self.psk_lookup is not None
        if not (proves or judges or has_psk or HandshakeKind.ANONYMOUS in self.admit):
            raise ConfigurationError("no credential", remedy="give a certificate or a pre-shared key")
        if any(len(pin) != PIN_BYTES for pin in self.raw_key_pins):
            raise ConfigurationError("a pin is the SHA-256 of a public key, 32 bytes")

    def _check_suites(self) -> None:
        legacy = [suite.name for suite in self.suites if suite.is_legacy]
        if legacy and not self.admits_legacy_suites:
            raise ConfigurationError(
                f"{legacy[0]} is spoken by the legacy profile alone", remedy="see Legacy2013Profile"
            )
        if not self.usable_suites(is_client=True) and not self.usable_suites(is_client=False):
            raise ConfigurationError("no cipher suite is left that the credentials can serve")
        if not self.groups or not self.signature_schemes:
            raise ConfigurationError("at least one group and one signature scheme are needed")

    # --- what follows from it -------------------------------------------------------------------

    def counts_as_revoked(self, peer: Identity) -> bool:
        """Ask ``is_revoked``; whatever is not the answer no is the answer yes."""
        if self.is_revoked is None:
            return False
        try:
            return self.is_revoked(peer) is not False
        except Exception:  # noqa: BLE001 whatever kept the caller from answering, nobody comes in by it
            return True

    def believes_raw_key(self, peer: RawPublicKeyIdentity) -> bool:
        """Whether a raw public key is pinned, or ``raw_key_lookup`` answers with True."""
        if peer.spki_sha256 in self.raw_key_pins:
            return True
        if self.raw_key_lookup is None:
            return False
        try:
            return self.raw_key_lookup(peer) is True
        except Exception:  # noqa: BLE001 whatever kept the caller from answering, nobody comes in by it
            return False

    @property
    def _judges_raw_keys(self) -> bool:
        return bool(self.raw_key_pins) or self.raw_key_lookup is not None

    def own_credential(self, kind: int) -> Credential | None:
        """Return what we have of a certificate type (RFC 7250), or None."""
        if kind == CertificateType.RAW_PUBLIC_KEY:
            return self.raw_key
        return self.certificate if kind == CertificateType.X509 else None

    @cached_property
    def own_types(self) -> tuple[CertificateType, ...]:
        """The certificate types that we can show; the raw key first, which costs less."""
        types = (CertificateType.RAW_PUBLIC_KEY, CertificateType.X509)
        return tuple(kind for kind in types if self.own_credential(kind) is not None)

    @cached_property
    def verifiable_types(self) -> tuple[CertificateType, ...]:
        """The certificate types that we can judge; the raw key first, which costs less."""
        raw = (CertificateType.RAW_PUBLIC_KEY,) if self._judges_raw_keys else ()
        return raw + ((CertificateType.X509,) if self.trust is not None else ())

    def usable_suites(self, *, is_client: bool) -> tuple[CipherSuite, ...]:
        """The suites that our credentials can serve in a role, for a kind of handshake that is admitted.

        A client can use every certificate suite: the suite names the *server's* kind of key. A server
        can use those that fit its own keys.
        """
        return self._client_suites if is_client else self._server_suites

    @cached_property
    def _client_suites(self) -> tuple[CipherSuite, ...]:
        full, one_sided = (
            HandshakeKind.FULL in self.admit,
            HandshakeKind.SERVER_AUTHENTICATED in self.admit,
        )
        certificates = bool(self.verifiable_types) and ((full and bool(self.own_types)) or one_sided)
        return tuple(
            suite
            for suite in self.suites
            if self._serves(suite, certificates=certificates, psk=full and self.psk is not None)
        )

    @cached_property
    def _server_suites(self) -> tuple[CipherSuite, ...]:
        full, one_sided = (
            HandshakeKind.FULL in self.admit,
            HandshakeKind.SERVER_AUTHENTICATED in self.admit,
        )
        certificates = (full and bool(self.verifiable_types)) or one_sided
        return tuple(
            suite
            for suite in self.suites
            if self._serves(
                suite,
                certificates=certificates and self._has_key_for(suite.key_exchange),
                psk=full and self.psk_lookup is not None,
            )
        )

    def _serves(self, suite: CipherSuite, *, certificates: bool, psk: bool) -> bool:
        exchange = suite.key_exchange
        if exchange.uses_certificates:
            return certificates
        return psk if exchange.uses_psk else HandshakeKind.ANONYMOUS in self.admit

    def _has_key_for(self, exchange: KeyExchange) -> bool:
        return any(
            credential is not None
            and exchange.fits(credential.public_key)
            and (exchange is not KeyExchange.RSA or can_decrypt(credential))
            for credential in (self.certificate, self.raw_key)
        )


@dataclass(frozen=True, kw_only=True)
class Legacy2013Profile(DTLSConfig):
    """The world that the draft was written in, for peers that speak nothing newer. Not for anything else.

    It adds RSA key transport and AES-CBC with HMAC to what :class:`DTLSConfig` speaks. What that gives up:

    - *RSA key transport* has no forward secrecy: whoever gets the server's key later reads what was
      recorded. Its padding invites Bleichenbacher's attack; :mod:`twoway.dtls.rsa_transport` says what is
      done about it.
    - *CBC with MAC-then-encrypt* invites timing attacks on the padding (Lucky Thirteen), and no code in
      Python runs in constant time; see :mod:`twoway.dtls.cbc`. Encrypt-then-MAC (RFC 7366), which is not
      open to them, is offered and preferred; a peer that lacks it is spoken with all the same.

    The modern suites stay in front: a peer that speaks one of them gets it.
    """

    suites: tuple[CipherSuite, ...] = DEFAULT_SUITES + LEGACY_2013_SUITES + ANONYMOUS_SUITES

    admits_legacy_suites: ClassVar[bool] = True
    admits_mac_then_encrypt: ClassVar[bool] = True
