"""The policies of an AC, asked for decisions.

It owns what makes a decision safe to act on. Nothing is permitted unless a policy or a grant says so; a
``forbid`` beats every ``permit``; whatever cannot be evaluated denies; what a subscriber claims can only
narrow; and each decision names the policies behind it, which is why every policy has an ``@id`` of its own.
Where policies come from and who is told of a decision is not its business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Self

from twoway.policy.cedar import Engine, Evaluation, Source
from twoway.policy.documents import documents_of
from twoway.policy.entities import PublisherEntity, Question, SubscriberEntity
from twoway.policy.grants import GrantIndex, LinkedGrant
from twoway.policy.policy_files import DEFAULT_DENY, read_policies
from twoway.policy.slices import Slices


@dataclass(frozen=True)
class Decision:
    """A policy decision, and why."""

    allowed: bool
    policies: tuple[str, ...]
    """The ``@id`` of each policy that decided, sorted, a grant as ``grant:NAME``; :data:`DEFAULT_DENY` alone
    where none did."""
    errors: tuple[str, ...] = ()
    """What could not be evaluated, in sentences for the log. Never beside ``allowed``."""


class PolicySet:
    """Checked policies, and the grants beside them. Immutable: what changed is another policy set."""

    def __init__(self, sources: Mapping[str, Source], slices: Slices, grants: GrantIndex) -> None:
        self._sources = sources
        self._slices = slices
        self._grants = grants

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load and check every ``*.cedar`` file in a folder. A folder without any permits nothing.

        Raises:
            ConfigurationError: as :func:`~twoway.policy.policy_files.read_policies` says.
        """
        sources = read_policies(folder)
        return cls(MappingProxyType(sources), Slices(sources), GrantIndex())

    def with_grants(self, grants: Iterable[LinkedGrant]) -> Self:
        """Return the same policies with these grants in the place of those before. Compiles nothing.

        Raises:
            CallerError: two grants have one name.
        """
        return type(self)(self._sources, self._slices, GrantIndex(grants))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ``@id`` of every policy, sorted."""
        return tuple(sorted(self._sources))

    @property
    def sources(self) -> Mapping[str, Source]:
        """Every policy in Cedar's JSON form, by its ``@id``."""
        return self._sources

    def grants_between(self, principal: str, publisher: str) -> tuple[LinkedGrant, ...]:
        """Return the grants by hand of a subscriber at a publisher, those that are over among them."""
        return self._grants.between(principal, publisher)

    def decide(self, question: Question) -> Decision:
        """Decide. Everything that cannot be judged is denied, with the errors saying why."""
        return self.decide_with_view(question)[0]

    def decide_with_view(self, question: Question) -> tuple[Decision, Question]:
        """Decide, and return the view of the question that decided (:meth:`Question.views`)."""
        errors = tuple(_unjudgeable(question))
        if errors:
            return Decision(allowed=False, policies=(DEFAULT_DENY,), errors=errors), question
        for view in question.views():
            decision = _decision(self._evaluate(view))
            if not decision.allowed:
                break
        return decision, view

    def _evaluate(self, question: Question) -> Evaluation:
        asked = documents_of(question)
        evaluation = self._slices.evaluate(asked)
        live = [
            grant
            for grant in self.grants_between(question.principal.uri, question.publisher.uri)
            if grant.covers(question.action, question.path)
            and not grant.is_over_at(question.circumstances.now)
        ]
        return evaluation.and_also(Engine.of_grants(live).evaluate(asked)) if live else evaluation


def _decision(evaluation: Evaluation) -> Decision:
    if evaluation.forbids or evaluation.errors:
        # What permitted is no reason for a denial: a forbid or an error decided.
        deciding = tuple(sorted(evaluation.forbids)) or (DEFAULT_DENY,)
        return Decision(allowed=False, policies=deciding, errors=evaluation.errors)
    if evaluation.permits:
        return Decision(allowed=True, policies=tuple(sorted(evaluation.permits)))
    return Decision(allowed=False, policies=(DEFAULT_DENY,))


def _unjudgeable(question: Question) -> Iterator[str]:
    """Name what is missing to judge a question."""
    principal, publisher, path = question.principal, question.publisher, question.path
    parties: tuple[SubscriberEntity | PublisherEntity, ...] = (principal, publisher)
    for entity in parties:
        if not entity.uri:
            yield "an identity is empty"
        # Two unknown regions are equal to a policy, and must not be taken for the same one.
        if not entity.organisation.strip():
            yield f"{entity.uri} has no organisation in the registry"
        if not entity.region.strip():
            yield f"{entity.uri} has no region in the registry"
    # The resource is named by both together, which is unambiguous only so.
    if "/" in publisher.uri:
        yield f"{publisher.uri} has a slash in its identity, which a publisher's must not"
    if not path.startswith("/"):
        yield f"{path!r} is not the path of a resource"
    around = question.circumstances
    if around.agreement_required and around.region != principal.region:
        seen = f"in the region {around.region}" if around.region else "in no region that is known"
        yield f"{principal.uri} is registered in the region {principal.region}, but was seen {seen}"
    if around.purpose is not None and around.purpose not in principal.purposes:
        yield f"{principal.uri} is not registered for the purpose {around.purpose!r} that it claims"
