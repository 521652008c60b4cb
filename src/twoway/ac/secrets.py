"""What the AC shares with publishers that have no certificate: sealed in the database, open in memory alone.

The draft (sections 6 and 8) preloads a node without a TPM with random bytes that the AC knows. Nobody gets
them: a holder gets a key that is derived from them for one ticket (RFC 9202 section 3.3.1), from which
neither they nor another holder's key follow. It must never write one anywhere unsealed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twoway.ac.sealing import SealingKey
from twoway.errors import ConfigurationError
from twoway.tickets import SharedSecret

_PURPOSE = "publisher secret"


def seal_secret(
    publisher: str, secret: bytes, sealing: SealingKey, *, entropy: Callable[[int], bytes]
) -> bytes:
    """Return a publisher's secret as it is stored.

    Args:
        publisher: its identity URI.
        secret: at least 16 random bytes.
        sealing: what it is sealed with.
        entropy: returns that many random bytes.

    Raises:
        ConfigurationError: the secret is too short.
    """
    return sealing.seal(_PURPOSE, publisher, SharedSecret(secret).secret, entropy=entropy)


def open_secrets(sealed: Mapping[str, bytes], sealing: SealingKey | None) -> Mapping[str, SharedSecret]:
    """Open all secrets, each by the identity of its publisher.

    Raises:
        ConfigurationError: there is no key to open them, or it is another one than they were sealed with.
    """
    if not sealed:
        return {}
    if sealing is None:
        raise ConfigurationError(
            "the database has secrets of publishers, and no key to open them is configured",
            where="ac.toml",
            remedy="name the file in sealing_key",
        )
    return {uri: SharedSecret(sealing.open(_PURPOSE, uri, value)) for uri, value in sealed.items()}
