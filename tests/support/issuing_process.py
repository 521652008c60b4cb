"""A process that issues and revokes without a pause, to be killed: each line that it prints was acknowledged.

    python issuing_process.py ADDRESS [TASKS]

It prints ``ready``, then ``issued HASH`` when a ticket was answered and ``revoked HASH`` when a revocation
was. ADDRESS is what stands in an AC's configuration.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from issuing import made

from twoway.ac import AuditLog, Database
from twoway.ac.storage import parse_address
from twoway.ac.ticket_record import TicketRecord
from twoway.ac.tickets import TicketRecords


def say(*words: str) -> None:
    print(*words, flush=True)


async def issue_and_revoke(records: TicketRecords) -> None:
    count = 0
    while True:
        now = datetime.now(UTC)
        record: TicketRecord = await records.issue(made(now=now), now=now)
        say("issued", record.token_hash.hex())
        count += 1
        if count % 3 == 0:
            await records.revoke(record.ticket_id, reason="every third", now=now)
            say("revoked", record.token_hash.hex())


async def main(address: str, tasks: int) -> None:
    database = Database(parse_address(address))
    records = TicketRecords(database, AuditLog(database, rows=1_000))
    say("ready")
    await asyncio.gather(*(issue_and_revoke(records) for _ in range(tasks)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8))
