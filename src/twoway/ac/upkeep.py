"""What operators do to an AC's keys while it runs: rotate the signing key, keep publishers' secrets.

Each opens the database beside the running AC and changes it, in one transaction with a row in the audit;
every replica follows within a second. It must never print a secret, nor write one anywhere but sealed and
into the file that the operator named for the publisher.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from twoway.ac.audit import AuditLog
from twoway.ac.config import ACConfig
from twoway.ac.decisions import AuditEntry
from twoway.ac.live import require_signing_key
from twoway.ac.sealed_rows import put_secret, remove_secret, rotate_signing_keys
from twoway.ac.sealing import require_sealing_key
from twoway.ac.secrets import seal_secret
from twoway.ac.signing_keys import StoredKey, plan_rotation
from twoway.ac.storage import Database
from twoway.clock import Clock
from twoway.configuration import read_key_file
from twoway.pki import StoredIdentity
from twoway.pki.files import PRIVATE_MODE, write_file
from twoway.tickets import SigningKey

Entropy = Callable[[int], bytes]
T = TypeVar("T")

_SECRET_BYTES = 32
"""Of a secret that is made here; as many as its derived keys draw on."""


def rotate_key(config: ACConfig, *, operator: str, clock: Clock, entropy: Entropy) -> StoredKey:
    """Announce a new signing key, which signs after the overlap, and return it as it is stored.

    Raises:
        ConfigurationError: a rotation is under way, or no sealing key is configured.
        StorageError: it was not written.
    """
    identity_key = require_signing_key(StoredIdentity.load(config.identity))
    sealing = require_sealing_key(config.sealing_key, entropy=entropy)
    new_key = ec.generate_private_key(ec.SECP256R1())

    def write(connection: Connection) -> tuple[StoredKey, AuditEntry]:
        now = clock.now()
        announced = rotate_signing_keys(
            connection,
            lambda stored: plan_rotation(
                stored,
                new_key,
                identity_key_id=SigningKey(identity_key.public_key()).key_id,
                sealing=sealing,
                now=now,
                overlap=config.signing.overlap,
                entropy=entropy,
            ),
        )[-1]
        what = (
            f"the key {announced.key_id.hex()} is announced; it signs from {announced.signs_from.isoformat()}"
        )
        return announced, AuditEntry.of_change(what, at=now, operator=operator)

    return _change(config, write)


def add_secret(
    config: ACConfig, publisher: str, path: Path, *, operator: str, clock: Clock, entropy: Entropy
) -> bool:
    """Store what the AC and a publisher share, in the place of what they shared before.

    Args:
        config: the AC's.
        publisher: its identity URI.
        path: the secret in hexadecimal digits, 0600; made where there is no such file, to be taken to the
            publisher.
        operator: who does it, for the audit.
        clock: the time, for the audit.
        entropy: returns that many random bytes.

    Returns:
        Whether it was made here.

    Raises:
        ConfigurationError: the file holds no secret, or no sealing key is configured.
        StorageError: it was not written.
    """
    sealing = require_sealing_key(config.sealing_key, entropy=entropy)
    is_new = not path.exists()
    if is_new:
        write_file(path, entropy(_SECRET_BYTES).hex().encode() + b"\n", mode=PRIVATE_MODE)
    sealed = seal_secret(publisher, read_key_file(path), sealing, entropy=entropy)

    def write(connection: Connection) -> tuple[None, AuditEntry]:
        put_secret(connection, publisher, sealed)
        what = "the secret that the AC and the publisher share was stored"
        return None, AuditEntry.of_change(what, at=clock.now(), operator=operator, audience=publisher)

    _change(config, write)
    return is_new


def drop_secret(config: ACConfig, publisher: str, *, operator: str, clock: Clock) -> None:
    """Forget what the AC and a publisher share: no more tickets with symmetric keys are issued for it.

    Raises:
        CallerError: there is nothing.
        StorageError: it was not written.
    """

    def write(connection: Connection) -> tuple[None, AuditEntry]:
        remove_secret(connection, publisher)
        what = "the secret that the AC and the publisher share was removed"
        return None, AuditEntry.of_change(what, at=clock.now(), operator=operator, audience=publisher)

    _change(config, write)


def _change(config: ACConfig, write: Callable[[Connection], tuple[T, AuditEntry]]) -> T:
    """Do ``write`` in a transaction with the row that it returns, and return the rest of it."""
    database = Database.existing(config.database)
    audit = AuditLog(database, rows=config.audit_rows)

    def whole(connection: Connection) -> T:
        result, entry = write(connection)
        audit.append(connection, [entry])
        return result

    try:
        return database.transact(whole)
    finally:
        database.close()
