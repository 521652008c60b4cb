"""What ``ac.toml`` may say of the server itself: bounds and the change of keys. Nothing is opened here."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from twoway.ac.rate import Allowance
from twoway.configuration import Section

_OVERLAP_MINIMUM_SECONDS = 10
"""Publishers that observe ``/keys`` hear of a key within a second or two; those that poll need longer."""
_OVERLAP_MAXIMUM_SECONDS = 30 * 86_400


class LimitsSection(Section):
    """``[limits]``: what requesters may take. Each default is meant for one process on a small server."""

    burst_per_identity: int = Field(20, ge=1)
    """Requests that an identity may make at once: a subscriber that starts and asks for its publishers."""
    rate_per_identity: float = Field(2.0, gt=0)
    """Requests a second of an identity in the long run."""
    burst_per_network: int = Field(500, ge=1)
    """Requests at once from one IPv4 address or IPv6 /64, behind which a whole building may stand."""
    rate_per_network: float = Field(100.0, gt=0)
    """Requests a second from there in the long run."""
    remembered: int = Field(10_000, ge=1)
    """Identities, and as many networks, whose use is remembered."""
    pending: int = Field(256, ge=1)
    """Requests for tickets that wait for the disk at the same time, and as many questions about tickets. What
    a disk writes in a tenth of a second; beyond it, waiting only turns into retransmissions."""
    request_bytes: int = Field(4096, ge=512, le=65_536)
    """A request: 150 bytes as a rule, 4 KiB for 64 long paths and an RSA key, or a ticket to introspect."""
    observations: int = Field(20_000, ge=1)
    """Observations of all requesters together."""
    observations_per_connection: int = Field(4, ge=1)
    """Observations of one connection: revoked tickets and keys, each once more by accident."""
    associations: int = Field(10_000, ge=1)
    """Associations of all requesters together."""

    @property
    def per_identity(self) -> Allowance:
        """What each identity may ask for."""
        return Allowance(self.burst_per_identity, self.rate_per_identity)

    @property
    def per_network(self) -> Allowance:
        """What may be asked for from each network."""
        return Allowance(self.burst_per_network, self.rate_per_network)


class SigningSection(Section):
    """``[signing]``: how the key changes that signs the tickets."""

    overlap_seconds: int = Field(3600, ge=_OVERLAP_MINIMUM_SECONDS, le=_OVERLAP_MAXIMUM_SECONDS)
    """How long a new key is announced before it signs."""

    @property
    def overlap(self) -> timedelta:
        """The same as a span of time."""
        return timedelta(seconds=self.overlap_seconds)
