"""What operators do to an AC's keys while it runs: rotate the signing key, keep publishers' secrets.

Each opens the database beside the running AC and changes it, in one transaction with a row in the audit;
every replica follows within a second. It must never print a secret, nor write one anywhere but sealed and
into the file that the operator named for the publisher.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from twoway.ac.audit import AuditLog
from twoway.ac.config import ACConfig
from twoway.ac.decisions import AuditEntry
from twoway.ac.live import require_signing_key
from twoway.ac.sealed_rows import (
    put_secret,
    read_secrets,
    read_signing_keys,
    remove_secret,
    rotate_signing_keys,
)
from twoway.ac.sealing import SealingKey, require_sealing_key
from twoway.ac.secrets import open_secrets, seal_secret
from twoway.ac.signing_keys import StoredKey, plan_rotation, unseal
from twoway.ac.storage import Database
from twoway.clock import Clock
from twoway.configuration import read_key_file
from twoway.errors import ConfigurationError
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
        ConfigurationError: a rotation is under way, or there is no sealing key to keep the new key with.
        StorageError: it was not written.
    """
    identity_key = require_signing_key(StoredIdentity.load(config.identity))
    new_key = ec.generate_private_key(ec.SECP256R1())

    def write(connection: Connection) -> tuple[StoredKey, AuditEntry]:
        now = clock.now()
        sealing = _sealing_key(connection, config, entropy)
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
        ConfigurationError: the file holds no secret, or there is no sealing key to keep it with.
        StorageError: it was not written.
    """

    def write(connection: Connection) -> tuple[bool, AuditEntry]:
        sealing = _sealing_key(connection, config, entropy)
        is_new = not path.exists()
        if is_new:
            write_file(path, entropy(_SECRET_BYTES).hex().encode() + b"\n", mode=PRIVATE_MODE)
        put_secret(
            connection, publisher, seal_secret(publisher, read_key_file(path), sealing, entropy=entropy)
        )
        what = "the secret that the AC and the publisher share was stored"
        return is_new, AuditEntry.of_change(what, at=clock.now(), operator=operator, audience=publisher)

    return _change(config, write)


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


def _sealing_key(connection: Connection, config: ACConfig, entropy: Entropy) -> SealingKey:
    """Return the key to seal with; made if its file is not there and nothing in the database is sealed yet.

    What is sealed already has to open: with two keys in use, no AC could open all that is there.

    Raises:
        ConfigurationError: its file is not named or not there, or it is another one.
    """
    keys = [(row.key_id, row.sealed) for row in read_signing_keys(connection) if row.sealed is not None]
    secrets = read_secrets(connection)
    path = config.sealing_key
    if (keys or secrets) and path is not None and not path.exists():
        raise ConfigurationError(
            "the key that the database's secrets are sealed with is not there",
            where=str(path),
            remedy="put the file back, or name it in sealing_key",
        )
    sealing = require_sealing_key(path, entropy=entropy)
    for key_id, sealed in keys:
        unseal(key_id, sealed, sealing)
    open_secrets(secrets, sealing)
    return sealing


def _change(config: ACConfig, write: Callable[[Connection], tuple[T, AuditEntry]]) -> T:
    """Do ``write`` in a transaction with the row that it returns, and return the rest of it."""
    with closing(Database.existing(config.database)) as database:
        audit = AuditLog(database, rows=config.audit_rows)

        def whole(connection: Connection) -> T:
            result, entry = write(connection)
            audit.append(connection, [entry])
            return result

        return database.transact(whole)
