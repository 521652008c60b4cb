"""What was acknowledged is on disk: a follower says so only after its store has said so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import aiocoap
from live_coap import Note, coap_client, coap_server, site_of
from live_endpoints import until
from small_pki import small_pki

from twoway.clock import SystemClock
from twoway.coap.transport import transport_of
from twoway.errors import StorageError
from twoway.readings import CONTENT_FORMAT_SENML_CBOR, Pack, Record
from twoway.sink.config import PublisherConfig
from twoway.sink.follower import Follower
from twoway.sink.service import Row
from twoway.trace import ignore

PUBLISHER = small_pki().publisher_p256


class Meter(Note):
    """Publishes a number."""

    def measure(self, value: float) -> None:
        record = Record("power", unit="W", time=time.time(), value=value)
        self.change(Pack((record,), base_name=f"{PUBLISHER.uri}/meter/").encode_cbor())

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=self.content, content_format=CONTENT_FORMAT_SENML_CBOR)


class Disk:
    """A store that is slow or full when the test wants it."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.is_full = False
        self.values: list[float | None] = []
        self.asked = 0

    async def add(self, rows: Sequence[Row]) -> int:
        self.asked += 1
        await self.free.wait()
        if self.is_full:
            raise StorageError("the disk is full")
        self.values += [row.value for row in rows]
        return len(rows)


def follower_of(uri: str, client, disk: Disk) -> Follower:
    return Follower(
        PublisherConfig(uri=uri, identity=PUBLISHER.uri),
        context=client.context,
        store=disk.add,
        clock=SystemClock(),
        trace=ignore,
        answer_timeout=5.0,
        retry=(0.05, 0.1),
    )


async def test_a_notification_is_acknowledged_after_it_was_stored():
    meter, disk = Meter(), Disk()
    meter.measure(1.0)
    async with coap_server(site_of(meter=meter)) as server, coap_client() as client:
        following = asyncio.create_task(follower_of(server.uri("meter"), client, disk).run())
        await until(lambda: disk.values == [1.0] and meter.observers == 1)
        (served,) = server.endpoint.connections
        waiting = transport_of(served)._manager._backlogs
        disk.free.clear()
        meter.measure(2.0)
        await until(lambda: disk.asked == 2)
        await asyncio.sleep(0.2)
        assert waiting, "it was acknowledged while the disk still worked"
        disk.free.set()
        await until(lambda: disk.values == [1.0, 2.0] and not waiting)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_what_could_not_be_stored_is_not_acknowledged(monkeypatch):
    meter, disk = Meter(), Disk()
    acknowledged: list[aiocoap.Message] = []
    monkeypatch.setattr("twoway.sink.follower.acknowledge", acknowledged.append)
    meter.measure(1.0)
    async with coap_server(site_of(meter=meter)) as server, coap_client() as client:
        follower = follower_of(server.uri("meter"), client, disk)
        following = asyncio.create_task(follower.run())
        await until(lambda: len(acknowledged) == 1 and meter.observers == 1)
        disk.is_full = True
        meter.measure(2.0)
        await until(lambda: follower.counters["lost"] >= 1)
        assert len(acknowledged) == 1
        disk.is_full = False
        await until(lambda: disk.values[-1] == 2.0)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
