"""An echo server that keeps its associations in a file: a process of its own, to be killed.

    python kept_server.py PORT IDENTITY FILE KEY

It restores what the file holds, prints the port that it serves and how many associations it took up, and
stores them again whenever that is due, after each new connection, and when it is told to terminate.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from twoway.dtls import CertificateCredential, DTLSConfig, SnapshotKey
from twoway.net import Connection, Endpoint
from twoway.pki import StoredIdentity
from twoway.pki.files import write_file


async def serve(port: int, identity: StoredIdentity, file: Path, key: SnapshotKey) -> None:
    wanted, told = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)

    def welcome(connection: Connection) -> None:
        connection.on_data = connection.send
        wanted.set()

    config = DTLSConfig(
        certificate=CertificateCredential(identity.chain, identity.private_key), trust=identity.trust
    )
    store = partial(write_file, file, mode=0o600)
    async with await Endpoint.open(
        host="127.0.0.1", port=port, accept=config, on_connection=welcome
    ) as endpoint:
        endpoint.on_save_due = wanted.set
        restored = 0
        if file.exists():
            restored = await endpoint.restore(file.read_bytes(), key, store, sends_ahead=40, receipts_ahead=8)
        print(endpoint.address[1], restored, flush=True)

        async def keep() -> None:
            while True:
                await wanted.wait()
                wanted.clear()
                await endpoint.save(key, store, sends_ahead=40, receipts_ahead=8)

        keeping = asyncio.create_task(keep())
        await told.wait()
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await endpoint.leave(key, store)


if __name__ == "__main__":
    port, folder, file, key = sys.argv[1:]
    asyncio.run(
        serve(int(port), StoredIdentity.load(Path(folder)), Path(file), SnapshotKey(bytes.fromhex(key)))
    )
