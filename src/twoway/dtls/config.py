"""What an endpoint is willing to do: one frozen value, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from twoway.dtls.credentials import CertificateCredential, PSKCredential, PSKLookup
from twoway.dtls.groups import DEFAULT_GROUPS, NamedGroup
from twoway.dtls.signatures import DEFAULT_SCHEMES, SignatureScheme
from twoway.dtls.suites import DEFAULT_SUITES, CipherSuite, KeyExchange
from twoway.errors import ConfigurationError
from twoway.pki import TrustStore

MIN_MTU_BYTES: Final = 180
"""A hello with every default suite and a cookie of 32 bytes takes 178. It has to fit one datagram: a server
that keeps nothing for an unverified address cannot put fragments of it together (RFC 6347 section 4.2.1)."""
MAX_MTU_BYTES: Final = 2**14

_SPOKEN: Final = (KeyExchange.ECDHE_ECDSA, KeyExchange.ECDHE_RSA, KeyExchange.PSK)
"""The exchanges that the handshake knows; with AEAD only."""


@dataclass(frozen=True, kw_only=True)
class DTLSConfig:
    """Credentials, what to offer, and how patiently.

    A certificate needs trust anchors and the other way round: only the fully authenticated handshake is
    spoken. Suites that the credentials cannot serve are left out by themselves.
    """

    certificate: CertificateCredential | None = None
    """What we prove ourselves with."""
    trust: TrustStore | None = None
    """Whom we believe."""
    psk: PSKCredential | None = None
    """A client's pre-shared key."""
    psk_lookup: PSKLookup | None = field(default=None, repr=False)
    """A server's pre-shared keys."""
    suites: tuple[CipherSuite, ...] = DEFAULT_SUITES
    """In the order of preference; a server's order decides."""
    groups: tuple[NamedGroup, ...] = DEFAULT_GROUPS
    """In the order of preference."""
    signature_schemes: tuple[SignatureScheme, ...] = DEFAULT_SCHEMES
    """In the order of preference."""
    mtu_bytes: int = 1200
    """The largest UDP payload that we send during a handshake."""
    flight_initial_timeout: float = 1.0
    """Seconds until a flight is sent again; doubled each time (RFC 6347 section 4.2.4.1)."""
    flight_max_timeout: float = 60.0
    """Where the doubling ends."""
    flight_retries: int = 6
    """How often a flight is sent again before the peer counts as gone."""
    handshake_timeout: float = 60.0
    """Seconds after which an unfinished handshake is given up in any case."""
    unsafe_allow_missing_extended_master_secret: bool = False
    """Speak with peers that lack RFC 7627. Their keys are not bound to the handshake's messages, so two
    different handshakes can end with the same keys (the triple handshake attack)."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.trust is None):
            raise ConfigurationError(
                "a certificate and trust anchors belong together", remedy="give both or neither"
            )
        if self.certificate is None and self.psk is None and self.psk_lookup is None:
            raise ConfigurationError("no credential", remedy="give a certificate or a pre-shared key")
        if not self.usable_suites(is_client=True) and not self.usable_suites(is_client=False):
            raise ConfigurationError("no cipher suite is left that the credentials can serve")
        if not MIN_MTU_BYTES <= self.mtu_bytes <= MAX_MTU_BYTES:
            raise ConfigurationError(f"an MTU lies between {MIN_MTU_BYTES} and {MAX_MTU_BYTES} bytes")
        if not 0 < self.flight_initial_timeout <= self.flight_max_timeout or self.flight_retries < 0:
            raise ConfigurationError("the retransmission timer's values contradict each other")
        if not self.groups or not self.signature_schemes:
            raise ConfigurationError("at least one group and one signature scheme are needed")

    def usable_suites(self, *, is_client: bool) -> tuple[CipherSuite, ...]:
        """The suites that our credentials can serve in a role.

        A client can use every certificate suite: the suite names the *server's* kind of key. A server
        can use those that fit its own key.
        """
        spoken = (suite for suite in self.suites if suite.key_exchange in _SPOKEN and not suite.is_cbc)
        if is_client:
            return tuple(
                suite
                for suite in spoken
                if (self.certificate if suite.key_exchange.uses_certificates else self.psk) is not None
            )
        return tuple(suite for suite in spoken if self._can_serve(suite))

    def _can_serve(self, suite: CipherSuite) -> bool:
        if not suite.key_exchange.uses_certificates:
            return self.psk_lookup is not None
        return self.certificate is not None and suite.key_exchange.fits(self.certificate.public_key)
