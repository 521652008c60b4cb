"""The policies of an AC: read from a folder once, checked, then asked for decisions.

It owns what makes a decision safe to act on. Nothing is permitted unless a policy says so; a ``forbid``
beats every ``permit``; whatever cannot be evaluated denies; and each decision names the policies behind
it, which is why every policy must have an ``@id`` of its own. Where policies come from and who is told
of a decision is not its business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from twoway.errors import CallerError, ConfigurationError
from twoway.policy.cedar import Engine, Fault, ParsedPolicy, Source, parse
from twoway.policy.entities import PublisherEntity, SubscriberEntity

DEFAULT_DENY = "default-deny"
"""Stands in the place of a policy's ``@id`` where no policy permitted. No policy may be called so."""
_FILE_LIMIT_BYTES = 1 << 20
"""A file of policies is written and read by people; what is larger is some other file."""


@dataclass(frozen=True)
class Decision:
    """A policy decision, and why."""

    allowed: bool
    policies: tuple[str, ...]
    """The ``@id`` of each policy that decided, sorted; :data:`DEFAULT_DENY` alone where none did."""
    errors: tuple[str, ...] = ()
    """What could not be evaluated, in sentences for the log. Never beside ``allowed``."""


class PolicySet:
    """Checked policies. Immutable: a changed folder is loaded anew."""

    def __init__(self, policies: dict[str, Source]) -> None:
        self._ids = tuple(sorted(policies))
        self._engine = Engine(policies)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load and check every ``*.cedar`` file in a folder. A folder without any permits nothing.

        Raises:
            ConfigurationError: the folder or a file cannot be read, a policy is not Cedar, does not fit
                the schema, has no ``@id``, or has one that is taken. The sentence names file and policy.
        """
        origins: dict[str, Path] = {}
        sources: dict[str, Source] = {}
        for path in _policy_files(folder):
            for policy in _checked(path):
                if policy.policy_id in origins:
                    raise ConfigurationError(
                        f"a policy @id({_quoted(policy)}) is already in {origins[policy.policy_id].name}",
                        where=str(path),
                        remedy="give each policy an @id of its own",
                    )
                origins[policy.policy_id] = path
                sources[policy.policy_id] = policy.source
        return cls(sources)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ``@id`` of every policy, sorted."""
        return self._ids

    def decide(
        self,
        *,
        principal: SubscriberEntity,
        action: str,
        publisher: PublisherEntity,
        path: str,
        now: datetime,
    ) -> Decision:
        """Decide whether ``principal`` may do ``action`` to the resource ``path`` of ``publisher``.

        Args:
            principal: who asks, as registered.
            action: a CoAP method as the schema writes it: ``GET``, ``iPATCH``.
            publisher: whose resource it is, as registered.
            path: the resource's path, ``/power``.
            now: the time, aware; policies see it as ``context.now``.

        Returns:
            The decision. Everything that cannot be judged is denied, with the errors saying why.

        Raises:
            CallerError: ``now`` has no time zone.
        """
        if now.tzinfo is None:
            raise CallerError("a decision was asked for at a time without a time zone")
        errors = tuple(_unjudgeable(principal, publisher, path))
        if errors:
            return Decision(allowed=False, policies=(DEFAULT_DENY,), errors=errors)
        evaluation = self._engine.evaluate(
            principal=principal, action=action, publisher=publisher, path=path, now=now
        )
        allowed = evaluation.permitted and not evaluation.errors
        # What permitted is no reason for a denial: an error, not that policy, decided.
        deciding = evaluation.deciding if allowed or not evaluation.permitted else ()
        return Decision(allowed=allowed, policies=deciding or (DEFAULT_DENY,), errors=evaluation.errors)


def _unjudgeable(principal: SubscriberEntity, publisher: PublisherEntity, path: str) -> Iterator[str]:
    """Name what is missing to judge a request."""
    for entity in (principal, publisher):
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


def _policy_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".cedar")
    except OSError as error:
        raise ConfigurationError(
            f"the folder of policies cannot be read: {error.strerror}",
            where=str(folder),
            remedy="create it and put *.cedar files into it",
        ) from None


def _checked(path: Path) -> list[ParsedPolicy]:
    """Return the policies of a file, all of them valid and named."""
    policies, faults = parse(_read(path))
    if faults:
        raise _in_a_sentence(faults, policies, path)
    for policy in policies:
        if not policy.policy_id.strip():
            raise ConfigurationError(
                f"policy {policy.position} has no @id",
                where=str(path),
                remedy='write @id("a-name-of-its-own") before it',
            )
        if policy.policy_id == DEFAULT_DENY:
            raise ConfigurationError(
                f"policy {policy.position} has the @id({_quoted(policy)}), which stands for no policy at all",
                where=str(path),
                remedy="give it another",
            )
    return policies


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_LIMIT_BYTES + 1)
        if len(data) > _FILE_LIMIT_BYTES:
            raise ConfigurationError(
                f"the file is larger than {_FILE_LIMIT_BYTES} bytes", where=str(path), remedy="split it"
            )
        return data.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"the policies cannot be read: {error.strerror}",
            where=str(path),
            remedy="check the file and its permissions",
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            "the file is not text in UTF-8", where=str(path), remedy="save it as UTF-8"
        ) from None


def _in_a_sentence(faults: list[Fault], policies: list[ParsedPolicy], path: Path) -> ConfigurationError:
    """Say the first fault, and how many more there are."""
    first = faults[0]
    names = {policy.position: f"@id({_quoted(policy)})" for policy in policies if policy.policy_id}
    policy = names.get(first.position or 0, f"number {first.position}")
    what = f"policy {policy}: {first.what}" if first.position else f"this is not Cedar: {first.what}"
    others = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ConfigurationError(what + others, where=str(path), remedy="correct the policy")


def _quoted(policy: ParsedPolicy) -> str:
    return f'"{policy.policy_id}"'
