"""The secret that an AC shares with one publisher, and every key that is derived from it.

    secret --HKDF "twoway token key"---------> encrypts tickets              16 bytes, one an algorithm
           --HKDF "twoway key name"----------> the kid of that key            8 bytes
           --HKDF "twoway key derivation"----> the key derivation key        32 bytes
                --HKDF over the ticket-------> what the holder proves        16 bytes (RFC 9202 3.3.1)
           --HKDF "twoway association key"---> what the two prove each other 16 bytes

The secret is the random bytes with which the publisher was preloaded (the draft, sections 6 and 8). It
leaves neither of the two: a holder gets a key that is derived for one ticket, from which neither the secret
nor the key of another ticket follows. Each purpose has its own label, so no key serves two of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from twoway import strict_cbor
from twoway.errors import ConfigurationError
from twoway.identity import NAME_BYTES_MAX
from twoway.tickets.confirmation import AnyConfirmation, SymmetricConfirmation
from twoway.tickets.encrypt0 import IV_BYTES, KEY_BYTES
from twoway.tickets.iana import Algorithm

MIN_SECRET_BYTES = 16
"""Less could be searched."""
KEY_ID_BYTES = 8
"""Enough to tell the secrets of one publisher's ACs apart."""
POP_KEY_BYTES = 16
"""The key of a pre-shared key suite with AES-128."""
KEY_DERIVATION_KEY_BYTES = 32
"""As much as SHA-256 carries."""
ASSOCIATION_KEY_BYTES = 16
"""The key of a pre-shared key suite with AES-128."""
MAX_PUBLISHER_BYTES = NAME_BYTES_MAX - 1 - 2 * KEY_ID_BYTES
"""What the name of that key leaves for the identity URI of the publisher."""

_POP_KEY_LABEL = "ACE-CoAP-DTLS-key-derivation"


@dataclass(frozen=True, eq=False)
class SharedSecret:
    """Random bytes that an AC and one publisher share.

    Raises:
        ConfigurationError: they are too few, or tickets cannot be encrypted with the algorithm.
    """

    secret: bytes = field(repr=False)
    """At least 16 random bytes, no other publisher's."""
    algorithm: Algorithm = Algorithm.AES_CCM_16_128_128
    """How tickets for this publisher are encrypted; no other algorithm is accepted."""

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_SECRET_BYTES:
            raise ConfigurationError(
                f"a secret that is shared with a publisher has {len(self.secret)} bytes",
                remedy=f"give it {MIN_SECRET_BYTES} random bytes or more",
            )
        if self.algorithm not in IV_BYTES:
            raise ConfigurationError(
                f"tickets cannot be encrypted with {self.algorithm.name}",
                remedy=f"choose one of {', '.join(algorithm.name for algorithm in IV_BYTES)}",
            )

    def token_key(self) -> bytes:
        """Return the key that encrypts tickets, 16 bytes."""
        return self._derived("twoway token key", KEY_BYTES)

    def key_id(self) -> bytes:
        """Return the ``kid`` under which tickets name that key, 8 bytes; it tells nothing of the secret."""
        return self._derived("twoway key name", KEY_ID_BYTES)

    def key_derivation_key(self) -> bytes:
        """Return the key from which the keys of holders are derived, 32 bytes."""
        return self._derived("twoway key derivation", KEY_DERIVATION_KEY_BYTES)

    def pop_key(self, access_token: bytes, length: int = POP_KEY_BYTES) -> bytes:
        """Return the key that the holder of a ticket proves (RFC 9202 section 3.3.1).

        Args:
            access_token: the ticket, byte for byte as it is handed out and uploaded.
            length: of the key, in bytes.
        """
        info = strict_cbor.encode([_POP_KEY_LABEL, length, access_token])
        return _hkdf(self.key_derivation_key(), info, length)

    def association_key(self) -> bytes:
        """Return the key by which the publisher and the AC prove themselves to each other, 16 bytes."""
        return self._derived("twoway association key", ASSOCIATION_KEY_BYTES)

    def association_name(self, publisher: str) -> bytes:
        """Return the ``psk_identity`` of that key: the URI, ``#``, and :meth:`key_id` in hexadecimal digits.

        So it names this secret and no other that the publisher had before: whoever has proved a former one
        is told apart on an association that still runs.

        Args:
            publisher: its identity URI.
        """
        return f"{publisher}#{self.key_id().hex()}".encode()

    def _derived(self, label: str, length: int) -> bytes:
        return _hkdf(self.secret, strict_cbor.encode([label, int(self.algorithm), length]), length)


def with_derived_key(
    confirmation: AnyConfirmation, secret: SharedSecret | None, encoded: bytes
) -> AnyConfirmation:
    """Return the confirmation of a ticket with its key in it, derived where the ticket has its name alone.

    Args:
        confirmation: as it stands in the ticket.
        secret: of the AC and the publisher.
        encoded: the ticket.
    """
    if secret is None or not isinstance(confirmation, SymmetricConfirmation) or confirmation.key is not None:
        return confirmation
    return SymmetricConfirmation(confirmation.kid, secret.pop_key(encoded), derived=True)


def _hkdf(key: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=b"", info=info).derive(key)
