"""The files of an AC's policies: a folder read once, each policy checked and named."""

from __future__ import annotations

from pathlib import Path

from twoway.errors import ConfigurationError
from twoway.policy.cedar import Fault, ParsedPolicy, Source, parse
from twoway.policy.grants import GRANT_PREFIX

DEFAULT_DENY = "default-deny"
"""Stands in the place of a policy's ``@id`` where no policy permitted. No policy may be called so."""
_FILE_LIMIT_BYTES = 1 << 20
"""A file of policies is written and read by people; what is larger is some other file."""


def read_policies(folder: Path) -> dict[str, Source]:
    """Read and check every ``*.cedar`` file in a folder; a folder without any has no policies.

    Returns:
        The policies by their ``@id``.

    Raises:
        ConfigurationError: the folder or a file cannot be read, a policy is not Cedar, does not fit the
            schema, has no ``@id``, or has one that is taken. The sentence names file and policy.
    """
    origins: dict[str, Path] = {}
    sources: dict[str, Source] = {}
    for path in policy_files(folder):
        for policy in checked_policies(path):
            if policy.policy_id in origins:
                raise ConfigurationError(
                    f"a policy @id({_quoted(policy)}) is already in {origins[policy.policy_id].name}",
                    where=str(path),
                    remedy="give each policy an @id of its own",
                )
            origins[policy.policy_id] = path
            sources[policy.policy_id] = policy.source
    return sources


def policy_files(folder: Path) -> list[Path]:
    """Return the ``*.cedar`` files of a folder, sorted.

    Raises:
        ConfigurationError: the folder cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".cedar")
    except OSError as error:
        raise ConfigurationError(
            f"the folder of policies cannot be read: {error.strerror}",
            where=str(folder),
            remedy="create it and put *.cedar files into it",
        ) from None


def checked_policies(path: Path) -> list[ParsedPolicy]:
    """Return the policies of a file, all of them valid and named."""
    policies, faults = parse(read_policy_text(path))
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
        if policy.policy_id.startswith(GRANT_PREFIX):
            raise ConfigurationError(
                f"policy {policy.position} has the @id({_quoted(policy)}), which is named like a grant",
                where=str(path),
                remedy="give it another",
            )
    return policies


def read_policy_text(path: Path) -> str:
    """Return the text of a policy file.

    Raises:
        ConfigurationError: it cannot be read, is too large or is not UTF-8.
    """
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
