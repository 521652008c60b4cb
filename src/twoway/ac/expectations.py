"""Expected decisions in a file: what rights are meant to be, held against what they are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from twoway.ac.config import MethodName, Word
from twoway.ac.inquiry import Inquiry, InquiryDesk, resource_target
from twoway.configuration import IdentityURI, ResourcePath, Section, load_toml, validated_by
from twoway.errors import ConfigurationError
from twoway.policy.explanation import Explanation


def parse_time(text: str) -> datetime:
    """Parse a point in time with its zone, as ISO 8601 and TOML have it.

    Raises:
        ConfigurationError: for anything else.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ConfigurationError(
            f"{text!r} is not a point in time with a time zone", remedy="write it like 2026-03-01T12:00:00Z"
        )
    return time


Time = Annotated[datetime, validated_by(parse_time)]
"""A field that holds a point in time."""


class CaseSection(Section):
    """``[[case]]``: one decision that is expected."""

    says: Word
    """What it shows, in words."""
    subscriber: IdentityURI
    """Who asks."""
    publisher: IdentityURI
    """Who is asked."""
    resource: ResourcePath
    """For what."""
    action: MethodName = "GET"
    """What it wants to do with it."""
    at: Time | None = None
    """When; unset: the file's time."""
    address: Word | None = Field(None, alias="from")
    """From which address."""
    purpose: Word | None = None
    """For which claimed purpose."""
    expect: Literal["allow", "deny"]
    """What the decision has to be."""
    by: tuple[Word, ...] | None = None
    """Which policies have to decide it, all of them; unset: whichever do."""


class ExpectationsFile(Section):
    """The whole of a file of expectations."""

    config: Path
    """The ``ac.toml`` whose policies and registry are asked."""
    at: Time
    """The time of the cases that name none."""
    cases: tuple[CaseSection, ...] = Field(alias="case", min_length=1)
    """The cases."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    case: CaseSection
    """The case."""
    explanation: Explanation
    """What was decided, and why."""

    @property
    def is_as_expected(self) -> bool:
        """Whether decision and, where they are named, policies are those that were expected."""
        decision = self.explanation.decision
        as_named = self.case.by is None or set(self.case.by) == set(decision.policies)
        return decision.allowed == (self.case.expect == "allow") and as_named


def load_expectations(path: Path) -> ExpectationsFile:
    """Read a file of expectations.

    Raises:
        ConfigurationError: the file, a key or a value is wrong.
    """
    return load_toml(path, ExpectationsFile)


def compare(expectations: ExpectationsFile, desk: InquiryDesk) -> list[Outcome]:
    """Put every case to the desk.

    Raises:
        ConfigurationError: a case names somebody or something that is not there.
    """
    return [Outcome(case, _answer(case, expectations, desk)) for case in expectations.cases]


def _answer(case: CaseSection, expectations: ExpectationsFile, desk: InquiryDesk) -> Explanation:
    inquiry = Inquiry(
        subscriber=case.subscriber,
        publisher=case.publisher,
        resource=resource_target(case.resource),
        action=case.action,
        at=case.at or expectations.at,
        address=case.address,
        purpose=case.purpose,
    )
    try:
        return desk.answer(inquiry)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"the case {case.says!r}: {error.what}", where=error.where, remedy=error.remedy
        ) from None
