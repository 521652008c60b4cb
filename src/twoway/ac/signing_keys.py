"""The keys with which an AC signs tickets, and when which of them does. Pure.

It owns the plan of a rotation with overlap. A new key is announced at ``/keys`` first and signs after the
overlap, so that publishers know it before they meet a ticket of it; the key before it stays announced until
no ticket of it can be valid any more. It must never sign with a key whose time has not come, nor announce
one before it is stored: replicas share the plan through the database, so all of them change keys at the same
moment, without a word between them.

    announced        announced and signs              announced         gone
    |---- overlap ----|---- until the next one signs ----|-- a day --|
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from twoway.ac.config import LIFETIME_MAXIMUM_SECONDS
from twoway.ac.sealing import SealingKey
from twoway.errors import ConfigurationError
from twoway.pki import HardwareKey
from twoway.tickets import SigningKey
from twoway.tickets.key_set import MAX_KEYS

RETIREMENT = timedelta(seconds=LIFETIME_MAXIMUM_SECONDS)
"""How long a key is announced after the next one signs: no ticket lives longer, whatever the configuration
said when it was issued."""
FROM_THE_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""When a key signs that was there before the first rotation."""

_PURPOSE = "signing key"


@dataclass(frozen=True, eq=False)
class PrivateSigningKey:
    """A private key and the moment from which it signs."""

    private_key: ec.EllipticCurvePrivateKey = field(repr=False)
    """On P-256."""
    signs_from: datetime
    """Aware, UTC."""

    @property
    def public(self) -> SigningKey:
        """The public half, as publishers learn it."""
        return SigningKey(self.private_key.public_key())

    @property
    def is_slow(self) -> bool:
        """Whether a token has to be asked for each signature."""
        return isinstance(self.private_key, HardwareKey)

    @property
    def key_id(self) -> bytes:
        """The ``kid`` of its tickets, 8 bytes."""
        return self.public.key_id


@dataclass(frozen=True)
class StoredKey:
    """A row of the plan, as the database has it."""

    key_id: bytes
    """The ``kid``, 8 bytes."""
    sealed: bytes | None = field(repr=False)
    """The private key (PKCS #8 in DER), sealed; None for the key of the AC's identity, which has a file."""
    signs_from: datetime
    """Aware, UTC."""


class SigningKeys:
    """The plan.

    Args:
        keys: one at least, in any order.
    """

    def __init__(self, keys: Sequence[PrivateSigningKey]) -> None:
        self._keys = sorted(keys, key=lambda key: key.signs_from)

    @classmethod
    def of_identity(cls, private_key: ec.EllipticCurvePrivateKey) -> SigningKeys:
        """The plan of an AC that has never rotated: the key of its identity signs."""
        return cls([PrivateSigningKey(private_key, FROM_THE_BEGINNING)])

    @classmethod
    def load(
        cls,
        stored: Sequence[StoredKey],
        *,
        identity_key: ec.EllipticCurvePrivateKey,
        sealing: SealingKey | None,
    ) -> SigningKeys:
        """Open the keys of the database.

        Raises:
            ConfigurationError: one of them cannot be opened, or the identity's key has been replaced while
                the plan counts on it.
        """
        if not stored:
            return cls.of_identity(identity_key)
        return cls([_opened(row, identity_key, sealing) for row in stored])

    def signer_at(self, now: datetime) -> PrivateSigningKey:
        """Return the key that signs at ``now``: of those whose time has come, the latest."""
        begun = [key for key in self._keys if key.signs_from <= now]
        return begun[-1] if begun else self._keys[0]  # a clock before all keys: the eldest is known longest

    def announced_at(self, now: datetime) -> tuple[PrivateSigningKey, ...]:
        """Return the keys that ``/keys`` lists at ``now``, eldest first."""
        ends = [key.signs_from + RETIREMENT for key in self._keys[1:]]
        return (*(key for key, end in zip(self._keys, ends, strict=False) if now < end), self._keys[-1])


def unseal(key_id: bytes, sealed: bytes, sealing: SealingKey) -> ec.EllipticCurvePrivateKey:
    """Open a key of the database.

    Raises:
        ConfigurationError: it was sealed with another key than ``sealing``.
    """
    key = load_der_private_key(sealing.open(_PURPOSE, key_id.hex(), sealed), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _opened(
    row: StoredKey, identity_key: ec.EllipticCurvePrivateKey, sealing: SealingKey | None
) -> PrivateSigningKey:
    if row.sealed is None:
        key = identity_key
    else:
        if sealing is None:
            raise ConfigurationError(
                "the database has signing keys, and no key to open them is configured",
                where="ac.toml",
                remedy="name the file in sealing_key",
            )
        key = unseal(row.key_id, row.sealed, sealing)
    if SigningKey(key.public_key()).key_id != row.key_id:
        raise ConfigurationError(
            f"the AC's identity has another key than {row.key_id.hex()}, which is to sign or be announced",
            where="ac.toml",
            remedy="put the former identity back until that key is no longer announced",
        )
    return PrivateSigningKey(key, row.signs_from)


def plan_rotation(
    stored: Sequence[StoredKey],
    new_key: ec.EllipticCurvePrivateKey,
    *,
    identity_key_id: bytes,
    sealing: SealingKey,
    now: datetime,
    overlap: timedelta,
    entropy: Callable[[int], bytes],
) -> list[StoredKey]:
    """Return the plan with a new key in it, and without those that are gone.

    Args:
        stored: the plan so far; empty before the first rotation.
        new_key: on P-256, fresh.
        identity_key_id: the ``kid`` of the key of the AC's identity.
        sealing: what the new key is sealed with.
        now: wall-clock time, aware.
        overlap: how long the new key is announced before it signs.
        entropy: returns that many random bytes.

    Raises:
        ConfigurationError: a rotation is under way, or too many former keys are announced still.
    """
    rows = sorted(
        stored or [StoredKey(identity_key_id, None, FROM_THE_BEGINNING)], key=lambda row: row.signs_from
    )
    latest = rows[-1]
    if latest.signs_from > now:
        raise ConfigurationError(
            f"the key {latest.key_id.hex()} is announced and "
            f"signs from {latest.signs_from:%Y-%m-%d %H:%M:%S} UTC",
            remedy="wait until then before the next rotation",
        )
    key_id = SigningKey(new_key.public_key()).key_id
    private = new_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sealed = sealing.seal(_PURPOSE, key_id.hex(), private, entropy=entropy)
    kept = [row for row, following in pairwise(rows) if now < following.signs_from + RETIREMENT]
    plan = [*kept, latest, StoredKey(key_id, sealed, now + overlap)]
    if len(plan) > MAX_KEYS:
        raise ConfigurationError(
            f"{len(plan) - 1} keys are announced, and publishers take {MAX_KEYS}",
            remedy="wait until tickets of the eldest have expired",
        )
    return plan
