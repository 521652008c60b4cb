"""kill -9: what was answered is known, what was acknowledged as revoked stays so, and the audit is whole."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

import pytest
from issuing import issue_one
from sqlalchemy import URL

import twoway
from twoway.ac import AuditLog, Database
from twoway.ac.audit import verify_audit
from twoway.ac.storage import DatabaseAddress
from twoway.ac.tickets import TicketRecords, find_ticket, read_revoked

PROGRAM = Path(__file__).parents[1] / "support" / "issuing_process.py"
PATIENCE = 60.0


def written(address: DatabaseAddress) -> str:
    return address.render_as_string(hide_password=False) if isinstance(address, URL) else str(address)


class Replica:
    """A process that issues and revokes, and what it has acknowledged."""

    def __init__(self, address: DatabaseAddress) -> None:
        self._address = address
        self.issued: list[bytes] = []
        self.revoked: list[bytes] = []
        self._lines = threading.Semaphore(0)

    def __enter__(self) -> Self:
        path = [str(Path(twoway.__file__).parents[1]), str(PROGRAM.parent)]
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), written(self._address)],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.wait_for_lines(1)
        return self

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # the last one may be cut off
                word, _, digest = line.decode().strip().partition(" ")
                {"issued": self.issued, "revoked": self.revoked, "ready": []}[word].append(
                    bytes.fromhex(digest)
                )
                self._lines.release()

    def wait_for_lines(self, count: int) -> None:
        for _ in range(count):
            assert self._lines.acquire(timeout=PATIENCE), "the process says nothing"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.process.stdout.close()


def check(database: Database, *replicas: Replica) -> None:
    """What the replicas have acknowledged is there, and the chain is whole."""

    def look(connection):
        for replica in replicas:
            assert replica.issued
            for token_hash in replica.issued:
                assert find_ticket(connection, token_hash), "an answered ticket is unknown"
        on_the_list = {record.token_hash for record in read_revoked(connection)}
        for replica in replicas:
            assert on_the_list >= set(replica.revoked), "an acknowledged revocation was lost"
        verify_audit(connection)

    database.read(look)


@pytest.mark.parametrize("seed", range(2))
def test_nothing_that_was_acknowledged_is_lost_by_a_kill_at_any_instant(address, seed):
    chance = random.Random(seed)
    replicas = []
    for _ in range(3):  # each finds what the one before has left
        with Replica(address) as replica:
            replica.wait_for_lines(chance.randrange(20, 200))
            threading.Event().wait(chance.random() * 0.01)  # somewhere within a batch
            replica.kill()
        replicas.append(replica)
    database = Database(address)
    try:
        check(database, *replicas)
    finally:
        database.close()


def test_of_two_replicas_one_is_killed_and_the_other_goes_on(address):
    with Replica(address) as one, Replica(address) as other:
        one.wait_for_lines(50)
        other.wait_for_lines(50)
        one.kill()
        other.wait_for_lines(len(other.issued) + 100)
        other.kill()
    assert not set(one.issued) & set(other.issued)
    database = Database(address)
    try:
        check(database, one, other)
        ticket_ids = database.read(
            lambda connection: [
                found.ticket_id
                for token_hash in one.issued + other.issued
                if (found := find_ticket(connection, token_hash))
            ]
        )
        assert len(set(ticket_ids)) == len(one.issued) + len(other.issued)
    finally:
        database.close()


def test_a_ticket_of_a_killed_replica_is_revoked_at_another_one(address):
    with Replica(address) as one:
        one.wait_for_lines(10)
        one.kill()
    database = Database(address)
    records = TicketRecords(database, AuditLog(database))

    async def revoke():
        (found,) = await records.revoke_by_hash(one.issued[0], reason="lost", now=found_at)
        return await issue_one(records, now=found_at), found

    try:
        found_at = database.read(lambda connection: find_ticket(connection, one.issued[0])).issued_at
        issued, found = asyncio.run(revoke())
        assert found.token_hash == one.issued[0]
        assert issued.ticket_id > found.ticket_id, "the numbers go on where the killed one stopped"
        check(database, one)
    finally:
        database.close()
