"""Everything that decisions read, as one immutable value: replaced as a whole, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from twoway.ac.directory import Directory
from twoway.ac.signing_keys import SigningKeys
from twoway.ac.surroundings import Surroundings
from twoway.policy import PolicySet
from twoway.tickets import DEFAULT_NUMBERS, ProvisionalNumbers, SharedSecret


@dataclass(frozen=True)
class Picture:
    """What the AC knows at one moment."""

    issuer: str
    """The identity URI of the AC itself."""
    directory: Directory
    """Everybody."""
    policies: PolicySet
    """The rights, grants by hand included."""
    signing_keys: SigningKeys = field(repr=False)
    """With what tickets are signed, and when."""
    secrets: Mapping[str, SharedSecret] = field(repr=False)
    """What the AC shares with the publishers that have such, by their identity."""
    ticket_lifetime: int
    """The longest life of a ticket, in seconds."""
    surroundings: Surroundings
    """How the circumstances of a question follow from what the AC sees of it."""
    administrators: frozenset[str] = frozenset()
    """Who sees the whole list of revoked tickets."""
    numbers: ProvisionalNumbers = DEFAULT_NUMBERS
    """What drafts call the hash of a certificate."""
