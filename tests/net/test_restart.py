"""Associations outlive their endpoint: its end, its restart, and its sudden death."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from live_endpoints import PATIENCE, BareClient, Inbox, calling, dtls_config, echo, reach, serving, until
from small_pki import small_pki

from twoway.dtls import SnapshotKey, SnapshotRejected
from twoway.dtls.record import split_datagram_untrusted
from twoway.errors import CallerError, StorageError
from twoway.net import Endpoint

pki = small_pki()
SECRET = bytes(range(32))
KEY = SnapshotKey(SECRET)
SUPPORT = Path(__file__).parents[1] / "support"


class Disk:
    """Where an endpoint stores what it leaves behind."""

    def __init__(self) -> None:
        self.content = b""
        self.writes = 0

    def store(self, data: bytes) -> None:
        self.content = data
        self.writes += 1


def refuse(_: bytes) -> None:
    raise StorageError("the disk is full")


async def answer_of(inbox: Inbox, connection, payload: bytes) -> None:
    connection.send(payload)
    await until(lambda: payload in inbox.received)


async def test_peers_do_not_notice_a_restart():
    disk, met = Disk(), []
    async with calling() as first, calling() as second:
        server = await Endpoint.open(
            host="127.0.0.1", accept=dtls_config(pki.publisher_p256), on_connection=echo
        )
        connections = [await reach(client, server) for client in (first, second)]
        inboxes = [Inbox.of(connection) for connection in connections]
        for inbox, connection in zip(inboxes, connections, strict=True):
            await answer_of(inbox, connection, b"before")
        handshakes = [connection.traffic.datagrams_sent for connection in connections]
        await server.leave(KEY, disk.store)
        async with serving(port=server.address[1], on_connection=met.append) as again:
            assert await again.restore(disk.content, KEY, disk.store) == 2
            for connection in met:
                echo(connection)
            for inbox, connection in zip(inboxes, connections, strict=True):
                await answer_of(inbox, connection, b"after")
            assert {connection.peer.uri for connection in met} == {pki.subscriber.uri}
            assert [c.traffic.datagrams_sent for c in connections] == [n + 1 for n in handshakes]
            assert all(connection.closed is None for connection in connections)


async def test_a_client_goes_on_after_its_own_restart():
    disk, config = Disk(), dtls_config(pki.subscriber)
    async with serving(on_connection=echo) as server:
        client = await Endpoint.open(host="127.0.0.1")
        before = await reach(client, server, config)
        await client.leave(KEY, disk.store)
        assert before.closed is not None
        async with calling(host="127.0.0.1", port=client.address[1]) as again:
            assert await again.restore(disk.content, KEY, disk.store, connect=config) == 1
            after = await reach(again, server, config)
            await answer_of(Inbox.of(after), after, b"hello")
            assert len(server.connections) == 1


async def test_associations_are_found_by_connection_id_after_a_restart():
    disk, met = Disk(), []
    accept = dtls_config(pki.publisher_p256, connection_id_bytes=6)
    server = await Endpoint.open(host="127.0.0.1", accept=accept, on_connection=echo)
    config = dtls_config(pki.subscriber, connection_id_bytes=0)
    bare = await BareClient.at(server, config)
    await bare.shake_hands()
    await until(lambda: server.connections)
    await server.leave(KEY, disk.store)
    async with serving(port=server.address[1], accept=accept, on_connection=met.append) as again:
        assert await again.restore(disk.content, KEY, disk.store) == 1
        echo(met[0])
        with bare, await BareClient.to(again.address[1]) as moved:
            moved.association = bare.association
            moved.tell(b"from another port")
            async with asyncio.timeout(PATIENCE):
                while not any(getattr(event, "data", None) for event in moved.events):
                    await moved.step()
            assert again.connections == tuple(met)


async def test_what_has_connection_ids_of_another_length_than_ours_now_is_not_restored():
    disk = Disk()
    long, short = (dtls_config(pki.publisher_p256, connection_id_bytes=size) for size in (6, 3))
    server = await Endpoint.open(host="127.0.0.1", accept=long)
    with await BareClient.at(server, dtls_config(pki.subscriber, connection_id_bytes=0)) as bare:
        await bare.shake_hands()
        await until(lambda: server.connections)
        await server.leave(KEY, disk.store)
        async with serving(port=server.address[1], accept=short) as again:
            assert await again.restore(disk.content, KEY, disk.store) == 0
            assert again.counters["associations not restored"] == 1


async def test_who_leaves_says_nothing_to_anybody():
    disk = Disk()
    async with calling() as client:
        server = await Endpoint.open(host="127.0.0.1", accept=dtls_config(pki.publisher_p256))
        connection = await reach(client, server)
        await server.leave(KEY, disk.store)
        await asyncio.sleep(0.1)
        assert connection.closed is None
        with pytest.raises(CallerError, match="closed"):
            await server.leave(KEY, disk.store)


async def test_nothing_is_restored_before_it_is_stored_again():
    disk, met = Disk(), []
    async with calling() as client:
        server = await Endpoint.open(host="127.0.0.1", accept=dtls_config(pki.publisher_p256))
        await reach(client, server)
        await server.leave(KEY, disk.store)
        async with serving(port=server.address[1], on_connection=met.append) as again:
            with pytest.raises(StorageError):
                await again.restore(disk.content, KEY, refuse)
            assert (met, again.connections) == ([], ())


async def test_an_endpoint_whose_disk_is_full_closes_all_the_same():
    async with calling() as client:
        server = await Endpoint.open(host="127.0.0.1", accept=dtls_config(pki.publisher_p256))
        await reach(client, server)
        with pytest.raises(StorageError):
            await server.leave(KEY, refuse)
        async with serving(port=server.address[1]):
            pass


async def test_a_newer_connection_of_the_same_peer_is_not_replaced_by_a_restored_one():
    disk = Disk()
    server = await Endpoint.open(host="127.0.0.1", accept=dtls_config(pki.publisher_p256))
    with await BareClient.at(server) as bare:
        await bare.shake_hands()
        await until(lambda: server.connections)
        await server.leave(KEY, disk.store)
        async with serving(port=server.address[1]) as again, asyncio.timeout(PATIENCE):
            anew = await BareClient.at(again, sock=bare.sock)
            await anew.shake_hands()
            await until(lambda: again.connections)
            newer = again.connections
            assert await again.restore(disk.content, KEY, disk.store) == 0
            assert again.connections == newer
            assert again.counters["associations not restored"] == 1


async def test_what_is_not_admitted_any_more_is_left_out_and_counted():
    disk = Disk()
    async with calling() as client:
        server = await Endpoint.open(host="127.0.0.1", accept=dtls_config(pki.publisher_p256))
        await reach(client, server)
        await server.leave(KEY, disk.store)
        config = dtls_config(pki.publisher_p256, is_revoked=lambda peer: True)
        async with serving(port=server.address[1], accept=config) as again:
            assert await again.restore(disk.content, KEY, disk.store) == 0
            assert again.counters["associations not restored"] == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data + b"\x00",
        lambda data: b"\x02" + data[1:],
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    ],
    ids=["cut", "empty", "longer", "another version", "changed"],
)
async def test_a_damaged_file_restores_nothing(damage):
    disk = Disk()
    async with calling() as client, serving() as server:
        await reach(client, server)
        await server.save(KEY, disk.store)
        async with serving() as again:
            with pytest.raises(SnapshotRejected):
                await again.restore(damage(disk.content), KEY, disk.store)
            assert disk.writes == 1


async def test_saving_is_due_before_the_reserved_numbers_are_used_up():
    disk, due = Disk(), []
    async with calling() as client, serving(on_connection=echo) as server:
        server.on_save_due = lambda: due.append(True)
        connection = await reach(client, server)
        inbox = Inbox.of(connection)
        await until(lambda: server.connections)
        await server.save(KEY, disk.store, sends_ahead=8, receipts_ahead=8)
        for number in range(4):
            await answer_of(inbox, connection, b"%d" % number)
        assert due == [True]
        await server.save(KEY, disk.store, sends_ahead=8, receipts_ahead=8)
        for number in range(4, 8):
            await answer_of(inbox, connection, b"%d" % number)


@contextmanager
def kept_server(port: int, folder: Path, file: Path):
    command = [sys.executable, SUPPORT / "kept_server.py", str(port), folder, file, SECRET.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            bound, restored = process.stdout.readline().split()
            yield process, int(bound), int(restored)
        finally:
            process.kill()


@dataclass
class Recorder(BareClient):
    """A bare client that keeps whatever the server sent."""

    heard: list[bytes] = field(default_factory=list)

    async def hear(self) -> bytes:
        datagram = await super().hear()
        self.heard.append(datagram)
        return datagram

    async def ask(self, question: bytes) -> None:
        """Ask again and again, as CoAP does, until the server has echoed."""
        async with asyncio.timeout(PATIENCE):
            while not any(getattr(event, "data", None) == question for event in self.events):
                with suppress(TimeoutError, ConnectionRefusedError):
                    self.tell(question)
                    async with asyncio.timeout(0.2):
                        await self.step()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
async def test_after_each_death_of_the_server_its_records_have_new_numbers(how, tmp_path):
    """One association, five processes: whatever their end, no (epoch, sequence number) is sent twice."""
    folder, file = tmp_path / "server", tmp_path / "associations"
    pki.folder(pki.publisher_p256, folder)
    port, client = 0, None
    for life in range(5):
        with kept_server(port, folder, file) as (process, port, restored):
            assert restored == (life > 0)
            if client is None:
                client = await Recorder.to(port)
                await client.shake_hands()
                await until(file.exists)
            for number in range(3 + 5 * life):
                await client.ask(b"%d of life %d" % (number, life))
            process.send_signal(how)
            process.wait(PATIENCE)
    records = [record for datagram in client.heard for record in split_datagram_untrusted(datagram)[0]]
    numbers = [record.sequence for record in records if record.epoch == 1]
    assert len(numbers) > 60
    assert len(set(numbers)) == len(numbers)
    client.sock.close()
