"""The Cedar engine, met here alone: parsing, validating and evaluating by ``cedarpy``.

It answers in plain values. Three traps of the engine are closed here: a policy that fails while it is
evaluated is skipped by Cedar, so its error is always handed on beside the decision; every evaluation has
the schema; and a time goes in as a ``datetime``, never as text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files

import cedarpy

from twoway.policy.entities import PublisherEntity, SubscriberEntity

_SUBSCRIBER = "Twoway::Subscriber"
_PUBLISHER = "Twoway::Publisher"
_RESOURCE = "Twoway::Resource"
_ACTION = "Twoway::Action"

Source = dict[str, object]
"""One parsed policy in Cedar's JSON form."""


@dataclass(frozen=True, slots=True)
class ParsedPolicy:
    """One policy of a file."""

    position: int
    """Its place in the file, from 1."""
    policy_id: str
    """The value of its ``@id`` annotation; empty where it has none."""
    source: Source


@dataclass(frozen=True, slots=True)
class Fault:
    """What the engine finds wrong with a policy text."""

    position: int | None
    """The place of the policy in the file, from 1; None where the text cannot be parsed at all."""
    what: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the engine says of one request."""

    permitted: bool
    deciding: tuple[str, ...]
    """The policies that decided, sorted."""
    errors: tuple[str, ...]
    """What could not be evaluated. The engine decided without it, so its decision is worth nothing."""


def parse(text: str) -> tuple[list[ParsedPolicy], list[Fault]]:
    """Parse and validate the text of a policy file against the schema, strictly.

    Returns:
        The policies in the order of the file, and what is wrong with them.
    """
    faults = [_fault(error) for error in cedarpy.validate_policies(text, _schema()).errors]
    if any(fault.position is None for fault in faults):
        return [], faults
    parsed = json.loads(cedarpy.policies_to_json_str(text))
    # A template is a policy with a hole. It decides nothing until it is linked, which nobody does here.
    faults += [Fault(_position(name), "a template is not a policy") for name in parsed["templates"]]
    policies = [
        ParsedPolicy(_position(name), source.get("annotations", {}).get("id") or "", source)
        for name, source in parsed["staticPolicies"].items()
    ]
    faults.sort(key=lambda fault: (fault.position or 0, fault.what))
    return sorted(policies, key=lambda policy: policy.position), faults


class Engine:
    """Compiled policies, named by their ``@id``."""

    def __init__(self, policies: Mapping[str, Source]) -> None:
        """Compile policies; the keys become the names in decisions and errors."""
        self._policies = cedarpy.PolicySet.from_json_str(
            json.dumps({"staticPolicies": dict(policies), "templates": {}, "templateLinks": []})
        )

    def evaluate(
        self,
        *,
        principal: SubscriberEntity,
        action: str,
        publisher: PublisherEntity,
        path: str,
        now: datetime,
    ) -> Evaluation:
        """Evaluate one request. What cannot be evaluated comes back as an error, it is not raised."""
        resource_id = publisher.uri + path
        request = {
            "principal": {"type": _SUBSCRIBER, "id": principal.uri},
            "action": {"type": _ACTION, "id": action},
            "resource": {"type": _RESOURCE, "id": resource_id},
            "context": {"now": {"__extn": {"fn": "datetime", "arg": _instant(now)}}},
        }
        entities = [
            _subscriber(principal),
            _publisher(publisher),
            _resource(resource_id, publisher, path),
        ]
        try:
            result = cedarpy.is_authorized(request, self._policies, entities, _schema())
        except ValueError as error:  # text that is no Unicode, for one
            return Evaluation(permitted=False, deciding=(), errors=(_one_line(str(error)),))
        return Evaluation(
            permitted=result.decision is cedarpy.Decision.Allow,
            deciding=tuple(sorted(result.diagnostics.reasons)),
            errors=tuple(map(_one_line, result.diagnostics.errors)),
        )


@cache
def _schema() -> cedarpy.Schema:
    """Return the shipped schema, parsed once."""
    return cedarpy.Schema.from_str((files("twoway.policy") / "schema.cedarschema").read_text("utf-8"))


def _fault(error: cedarpy.ValidationError) -> Fault:
    what = error.error.removeprefix("Policy parse error: ").removeprefix(f"for policy `{error.policy_id}`, ")
    return Fault(_position(error.policy_id) if error.policy_id else None, _one_line(what))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _position(engine_id: str) -> int:
    """The engine numbers the policies of a text ``policy0``, ``policy1`` and so on."""
    return int(engine_id.removeprefix("policy")) + 1


def _subscriber(subscriber: SubscriberEntity) -> dict[str, object]:
    return {
        "uid": {"type": _SUBSCRIBER, "id": subscriber.uri},
        "attrs": {
            "organisation": subscriber.organisation,
            "region": subscriber.region,
            "purposes": sorted(subscriber.purposes),
        },
        "parents": [],
        "tags": dict(subscriber.attributes),
    }


def _publisher(publisher: PublisherEntity) -> dict[str, object]:
    return {
        "uid": {"type": _PUBLISHER, "id": publisher.uri},
        "attrs": {"organisation": publisher.organisation, "region": publisher.region},
        "parents": [],
        "tags": dict(publisher.attributes),
    }


def _resource(resource_id: str, publisher: PublisherEntity, path: str) -> dict[str, object]:
    parent = {"type": _PUBLISHER, "id": publisher.uri}
    return {
        "uid": {"type": _RESOURCE, "id": resource_id},
        "attrs": {"path": path, "publisher": {"__entity": parent}},
        "parents": [parent],
    }


def _instant(now: datetime) -> str:
    """Cedar's form of a point in time: UTC, milliseconds."""
    return now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
