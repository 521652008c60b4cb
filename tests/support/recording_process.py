"""A process that records revoked tickets without a pause, to be killed; each number it prints is on the disk.

python recording_process.py FILE
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count
from pathlib import Path

from twoway.publisher.revoked_file import RevokedFile
from twoway.tickets import token_hash


def hash_of(number: int) -> bytes:
    return token_hash(number.to_bytes(4))


async def record(path: Path) -> None:
    file = RevokedFile(path)
    hashes = list(file.hashes)
    for number in count(len(hashes)):
        hashes.append(hash_of(number))
        await file.record(hashes)
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(record(Path(sys.argv[1])))
