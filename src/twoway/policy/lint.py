"""What is wrong with policies, or likely not meant: advice to who writes them, never a decision.

Two looks. :func:`lint_files` reads the files as a server would, and tells every fault instead of the first.
:func:`lint_policies` holds good policies against a registry: heads that name nobody, policies that cannot
apply to anybody or to nobody there, and two ways to write what one does not mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from twoway.errors import ConfigurationError
from twoway.policy.cedar import Source, may_apply, parse
from twoway.policy.conditions import parts_of
from twoway.policy.documents import UID, documents_of
from twoway.policy.entities import ACTIONS, Circumstances, PublisherEntity, Question, SubscriberEntity
from twoway.policy.policy_files import policy_files, read_policies, read_policy_text
from twoway.policy.slices import named_in

QUESTIONS_ASKED = 20_000
"""How many questions of a registry are put to the policies; some seconds' worth."""
_ANY_TIME = Circumstances(datetime(2000, 1, 1, tzinfo=UTC))
"""Circumstances are left unknown, so these are never looked at."""


@dataclass(frozen=True)
class Offer:
    """What a publisher of the registry offers."""

    publisher: PublisherEntity
    """Who."""
    resources: Sequence[tuple[str, str]]
    """Paths and methods: ``("/power", "GET")``."""


@dataclass(frozen=True)
class Remark:
    """One thing to look at."""

    where: str
    """The policy's ``@id``, or the file."""
    what: str
    """In a sentence without its full stop."""


def lint_files(folder: Path) -> list[Remark]:
    """Return what keeps the files of a folder from being loaded; nothing if they can be.

    Raises:
        ConfigurationError: the folder or a file cannot be read.
    """
    remarks = [remark for path in policy_files(folder) for remark in _faults(path)]
    if remarks:
        return remarks
    try:
        read_policies(folder)
    except ConfigurationError as error:  # what only shows in all files together
        return [Remark(Path(error.where or folder).name, error.what)]
    return []


def lint_policies(
    policies: Mapping[str, Source], subscribers: Sequence[SubscriberEntity], offers: Sequence[Offer]
) -> list[Remark]:
    """Return what is likely not meant in policies, given who is in the registry."""
    known = _known(subscribers, offers)
    remarks = [
        remark
        for policy_id, source in policies.items()
        for remark in (*_unknown_names(policy_id, source, known), *_traps(policy_id, source))
    ]
    possible = {name for action in ACTIONS for name in may_apply(policies, action, None)}
    remarks += [
        Remark(name, "its conditions contradict each other: it can never apply to anybody")
        for name in policies
        if name not in possible
    ]
    idle, all_asked = _idle(
        {name: policies[name] for name in policies if name in possible}, subscribers, offers
    )
    asked = "" if all_asked else f", of which only {QUESTIONS_ASKED} questions were asked"
    remarks += [Remark(name, f"it never applies to anybody in the registry{asked}") for name in idle]
    return sorted(remarks, key=lambda remark: (remark.where, remark.what))


def _faults(path: Path) -> Iterator[Remark]:
    policies, faults = parse(read_policy_text(path))
    names = {policy.position: policy.policy_id for policy in policies}
    for fault in faults:
        place = f", policy {names.get(fault.position) or fault.position}" if fault.position else ""
        yield Remark(path.name + place, fault.what)
    for policy in policies:
        if not policy.policy_id.strip():
            yield Remark(f"{path.name}, policy {policy.position}", "it has no @id")


def _unknown_names(policy_id: str, source: Source, known: set[UID]) -> Iterator[Remark]:
    for variable in ("principal", "resource"):
        uid = named_in(source[variable])
        if uid is not None and uid not in known:
            yield Remark(
                policy_id, f"its head names the {uid[0].lower()} {uid[1]}, who is not in the registry"
            )


def _traps(policy_id: str, source: Source) -> Iterator[Remark]:
    permits = source["effect"] == "permit"
    for part in parts_of(source):
        match part.expression:
            case {"has": {"left": {"Var": "context"}, "attr": "purpose"}} if permits:
                yield Remark(
                    policy_id,
                    "it permits only with a claimed purpose, and a claim never widens: it permits nothing;"
                    " ask for principal.purposes",
                )
            case {"has": {"left": {"Var": "context"}}}:
                pass  # a forbid for some circumstances is what it says
            case {"has": _} | {"hasTag": _} if not permits:
                yield Remark(
                    policy_id,
                    f"it forbids only where {part.text}, so whoever is unknown there escapes it;"
                    " write what is wanted behind unless",
                )


def _idle(
    policies: Mapping[str, Source], subscribers: Sequence[SubscriberEntity], offers: Sequence[Offer]
) -> tuple[list[str], bool]:
    """Return the policies that apply in no question of the registry, and whether all were asked."""
    left = dict(policies)
    questions = _questions(subscribers, offers)
    for question in islice(questions, QUESTIONS_ASKED):
        if not left:
            break
        for name in may_apply(left, question.action, documents_of(question)):
            del left[name]
    return list(left), not left or next(questions, None) is None


def _questions(subscribers: Iterable[SubscriberEntity], offers: Sequence[Offer]) -> Iterator[Question]:
    for subscriber in subscribers:
        for offer in offers:
            for path, action in offer.resources:
                yield Question(subscriber, action, offer.publisher, path, _ANY_TIME)


def _known(subscribers: Iterable[SubscriberEntity], offers: Iterable[Offer]) -> set[UID]:
    """Return everybody and everything that a head can name."""
    known: set[UID] = set()
    for subscriber in subscribers:
        known |= {("Subscriber", subscriber.uri), *_belongs(subscriber)}
    for offer in offers:
        publisher = offer.publisher
        known |= {("Publisher", publisher.uri), ("Site", publisher.site), *_belongs(publisher)}
        known |= {("Resource", publisher.uri + path) for path, _ in offer.resources}
    return known


def _belongs(party: SubscriberEntity | PublisherEntity) -> Iterator[UID]:
    yield "Organisation", party.organisation
    yield "Tenant", party.tenant
    if party.jurisdiction is not None:
        yield "Jurisdiction", party.jurisdiction.name
