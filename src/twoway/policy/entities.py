"""Who asks, who measures and what surrounds the question: the values that policies judge.

Attributes come from the AC's registry, never from what a peer claims about itself. The one claim that is
taken, the purpose, only ever narrows (:meth:`Question.views`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

from twoway.errors import CallerError

ACTIONS = ("GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH")
"""The methods of CoAP as the schema writes them (RFC 7252, RFC 8132)."""


@dataclass(frozen=True)
class Jurisdiction:
    """Whose law holds."""

    name: str
    """What it is called in the registry: ``"CH"``."""
    partners: frozenset[str] = frozenset()
    """The jurisdictions with which it has a treaty. A treaty goes one way unless both say so."""


@dataclass(frozen=True)
class SubscriberEntity:
    """The party that asks: ``principal`` in a policy."""

    uri: str
    """Its identity, as it proved it."""
    organisation: str
    """``principal.organisation``. Empty is unknown, and nothing is permitted to the unknown."""
    region: str
    """``principal.region``, likewise."""
    purposes: frozenset[str] = frozenset()
    """``principal.purposes``: what it may use readings for."""
    certifications: frozenset[str] = frozenset()
    """``principal.certifications``."""
    tenant: str = ""
    """``principal.tenant``; empty: the policy sees none."""
    jurisdiction: Jurisdiction | None = None
    """``principal.jurisdiction``; None: the policy sees none."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Everything else in the registry: ``principal.getTag("floor")``."""


@dataclass(frozen=True)
class PublisherEntity:
    """The party that measures: ``resource.publisher`` in a policy."""

    uri: str
    """Its identity."""
    organisation: str
    """``resource.publisher.organisation``. Empty is unknown, and nothing of the unknown is permitted."""
    region: str
    """``resource.publisher.region``, likewise."""
    site: str = ""
    """``resource.publisher.site``; empty: the policy sees none."""
    tenant: str = ""
    """``resource.publisher.tenant``, likewise."""
    jurisdiction: Jurisdiction | None = None
    """``resource.publisher.jurisdiction``, and that of its site."""
    categories: Mapping[str, str] = field(default_factory=dict)
    """``resource.category`` by the resource's path, where the registry has one."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Everything else in the registry: ``resource.publisher.getTag("model")``."""


@dataclass(frozen=True)
class Circumstances:
    """What surrounds a question: ``context`` in a policy."""

    now: datetime
    """``context.now``: the time, aware."""
    address: IPv4Address | IPv6Address | None = None
    """``context.address``: from where the AC saw the subscriber ask, without an IPv6 zone; None: unknown."""
    region: str | None = None
    """``context.region``: the region of that address, as the AC derived it."""
    agreement_required: bool = False
    """Whether ``region`` has to be the one in which the principal is registered; if not, it is denied."""
    purpose: str | None = None
    """``context.purpose``: what the subscriber claims to want the readings for; None: it claims nothing."""

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise CallerError("a decision was asked for at a time without a time zone")


@dataclass(frozen=True)
class Question:
    """May ``principal`` do ``action`` to the resource ``path`` of ``publisher``?"""

    principal: SubscriberEntity
    """Who asks, as registered."""
    action: str
    """One of :data:`ACTIONS`."""
    publisher: PublisherEntity
    """Whose resource it is, as registered."""
    path: str
    """The resource's path, ``/power``."""
    circumstances: Circumstances
    """When, from where, what for."""

    def views(self) -> tuple[Question, ...]:
        """Return the questions that all have to be permitted for this one to be.

        A claimed purpose is heard only after the same question was permitted without it. Then the principal
        has that purpose alone. So a claim can take rights away and never give any, whatever policies say.
        """
        purpose = self.circumstances.purpose
        if purpose is None:
            return (self,)
        unclaimed = replace(self, circumstances=replace(self.circumstances, purpose=None))
        narrowed = replace(self.principal, purposes=self.principal.purposes & {purpose})
        return unclaimed, replace(self, principal=narrowed)
