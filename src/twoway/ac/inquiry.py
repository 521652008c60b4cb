"""Questions of people about rights: who may do what, asked by name, outside of any handshake.

They are answered from the same files, by the same policies and grants as those of a running AC. Nothing is
granted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from twoway.ac.config import ACConfig, MethodName
from twoway.ac.directory import Directory, compile_directory
from twoway.ac.entity import Entity
from twoway.ac.rights import action_of
from twoway.ac.surroundings import Surroundings
from twoway.configuration import parse_resource_path
from twoway.errors import CallerError, ConfigurationError
from twoway.pki import read_ledger
from twoway.policy import LinkedGrant, PolicySet, Question
from twoway.policy.explanation import Explanation, explain
from twoway.policy.lint import Offer, Remark, lint_policies
from twoway.policy.regions import plain_address
from twoway.tickets import Method, Scope, target_from_options


@dataclass(frozen=True)
class Inquiry:
    """One question, with the names that people use."""

    subscriber: str
    """Identity of who would ask."""
    publisher: str
    """Identity of who would be asked."""
    resource: str
    """What scopes call the resource, ``/power``; see :func:`asked_target`."""
    action: MethodName
    """The method."""
    at: datetime
    """When, aware."""
    address: str | None = None
    """From which address; None: from none that is known."""
    purpose: str | None = None
    """For which claimed purpose; None: none is claimed."""


class InquiryDesk:
    """Answers inquiries.

    Args:
        directory: the registry's picture.
        policies: the policies with the grants.
        surroundings: regions.
    """

    def __init__(self, directory: Directory, policies: PolicySet, surroundings: Surroundings) -> None:
        self._directory = directory
        self._policies = policies
        self._surroundings = surroundings

    @classmethod
    def open(cls, config: ACConfig, grants: Iterable[LinkedGrant] = ()) -> Self:
        """Read what an AC with this configuration would read when it starts.

        Raises:
            ConfigurationError: a ledger, a policy or the table of regions is wrong.
        """
        entries = [entry for ledger in config.ledgers for entry in read_ledger(ledger)]
        directory = compile_directory(entries, config.publishers, config.subscribers, config.places)
        policies = PolicySet.load(config.policies).with_grants(grants)
        return cls(directory, policies, Surroundings.load(config.regions))

    def answer(self, inquiry: Inquiry) -> Explanation:
        """Decide an inquiry and say why.

        Raises:
            ConfigurationError: somebody is not registered, the publisher does not offer that, or the
                address is none.
        """
        subscriber, publisher = self._subscriber(inquiry.subscriber), self._publisher(inquiry.publisher)
        if inquiry.address is not None and plain_address(inquiry.address) is None:
            raise ConfigurationError(
                f"{inquiry.address!r} is not an address", remedy="write it like 192.0.2.1"
            )
        circumstances = self._surroundings.circumstances(
            inquiry.at, address=inquiry.address, purpose=inquiry.purpose
        )
        _require_offered(publisher, inquiry.resource, inquiry.action)
        return explain(
            self._policies,
            Question(
                subscriber.as_subscriber(),
                inquiry.action,
                publisher.as_publisher(),
                inquiry.resource,
                circumstances,
            ),
        )

    def lint(self) -> list[Remark]:
        """Return what is likely not meant in the policies, given the registry."""
        entities = self._directory.entities.values()
        offers = [
            Offer(
                entity.as_publisher(),
                [(target, action_of(each)) for target, methods in entity.offer.entries for each in methods],
            )
            for entity in entities
            if entity.offer
        ]
        askers = [entity.as_subscriber() for entity in entities if entity.may_ask]
        return lint_policies(self._policies.sources, askers, offers)

    def require_known(self, grant: LinkedGrant) -> None:
        """Check that a grant is about somebody and something in the registry.

        Raises:
            ConfigurationError: it is not, so that it would never apply.
        """
        self._subscriber(grant.principal)
        publisher = self._publisher(grant.publisher)
        targets = [grant.path] if grant.path is not None else [path for path, _ in publisher.offer.entries]
        for method in sorted(grant.methods):
            if not any(_is_offered(publisher, target, method) for target in targets):
                raise _not_offered(publisher, method, grant.path or "any resource")

    def _subscriber(self, uri: str) -> Entity:
        found = self._directory.requester(uri)
        if found is None or not found.may_ask:
            raise ConfigurationError(
                f"{uri} is not registered as somebody who asks for tickets",
                remedy="check the name, the ledgers and the [[subscriber]] tables",
            )
        return found

    def _publisher(self, uri: str) -> Entity:
        found = self._directory.publisher(uri)
        if found is None:
            raise ConfigurationError(
                f"{uri} is not registered as a publisher that offers anything",
                remedy="check the name and the [[publisher]] tables",
            )
        return found


def resource_target(path: str) -> str:
    """Return what scopes and policies call the resource of a path."""
    return target_from_options(path[1:].split("/"), ())


def asked_target(text: str) -> str:
    """Return what scopes and policies call what somebody asks for.

    Args:
        text: a path as the operator's file has it; or, where ``?`` or ``%`` stands in it, path and query as a
            URI has them, which is how a refused reader is told them.

    Raises:
        ConfigurationError: it is neither.
    """
    if not set("?%") & set(text):
        return resource_target(parse_resource_path(text))
    try:
        ((target, _method),) = Scope(((text, Method.GET),)).entries
    except CallerError:
        raise ConfigurationError(
            f"{text!r} is not path and query of a resource", remedy="write it as /name or /name?query"
        ) from None
    return target


def _require_offered(publisher: Entity, target: str, action: str) -> None:
    """Check that a ticket could hold this: what a publisher does not offer is in none, ever."""
    if not _is_offered(publisher, target, action):
        raise _not_offered(publisher, action, target)


def _is_offered(publisher: Entity, target: str, action: str) -> bool:
    method = Method[action.upper()]
    return any(path == target and methods & method for path, methods in publisher.offer.entries)


def _not_offered(publisher: Entity, action: str, target: str) -> ConfigurationError:
    return ConfigurationError(
        f"{publisher.uri} does not offer {action} on {target}, so no ticket holds it",
        remedy="check its [[publisher]] table",
    )
