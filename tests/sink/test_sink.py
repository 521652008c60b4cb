"""The sink against real publishers, over real sockets: everything once, whatever happens to them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiocoap
import pytest
from aiocoap.resource import ObservableResource, Site
from deployment import Deployment, until

from twoway import sink
from twoway.coap import open_context
from twoway.dtls import CertificateCredential, DTLSConfig
from twoway.errors import ConfigurationError
from twoway.identity import identity_uri
from twoway.net import Endpoint
from twoway.pki import Role
from twoway.readings import CONTENT_FORMAT_SENML_CBOR, Pack, Record
from twoway.sink import ReadingStore, Row
from twoway.trace import TraceEvent

METER, WATER, HOST = identity_uri("meter"), identity_uri("water"), identity_uri("host")


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment(tmp_path) as running:
        yield running


class RunningSink:
    """A sink as a task, and a look into its database."""

    def __init__(self, deployment: Deployment) -> None:
        self.database = deployment.folder / "sink.sqlite"
        self.events: list[TraceEvent] = []

    def rows(self, publisher: str, path: str = "count") -> list[Row]:
        with ReadingStore.open_existing(self.database) as store:
            return store.readings(publisher, name=f"{publisher}/{path}/{path}")

    def values(self, publisher: str) -> list[float | None]:
        return [row.value for row in self.rows(publisher)]

    def named(self, name: str) -> list[TraceEvent]:
        return [event for event in self.events if event.name == name]


def entry(uri: str, identity: str, more: str = "") -> str:
    return f'[[publisher]]\nuri = "{uri}"\nidentity = "{identity}"\n{more}\n'


PSK = 'psk = { identity = "sink", key_file = "psk.hex" }'


@asynccontextmanager
async def running_sink(
    deployment: Deployment, *entries: str, name: str = "sink"
) -> AsyncIterator[RunningSink]:
    path = deployment.folder / "sink.toml"
    path.write_text(
        f'identity = "identities/{name}"\ndatabase = "sink.sqlite"\nanswer_timeout = 2.0\n'
        "retry_initial_interval = 0.1\nretry_max_interval = 0.4\n" + "".join(entries)
    )
    running = RunningSink(deployment)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        sink.serve(sink.load_config(path), ready=ready.set_result, trace=running.events.append)
    )
    await asyncio.wait([task, ready], timeout=10, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    assert await ready == identity_uri(name)
    try:
        yield running
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task
    assert not running.named("follower failed")


def runs(values: Sequence[float | None]) -> list[list[float]]:
    """Cut a counted series into runs without a gap and without a repetition."""
    cut: list[list[float]] = []
    for value in values:
        assert value is not None
        if cut and value == cut[-1][-1] + 1:
            cut[-1].append(value)
        else:
            cut.append([value])
    return cut


async def test_readings_of_publishers_of_every_credential_are_stored_without_a_ticket(deployment: Deployment):
    uris = {name: await deployment.start_publisher(name) for name in ("meter", "water", "host")}
    entries = [
        entry(f"{uris['meter']}/count", METER),
        entry(f"{uris['water']}/count", WATER),
        entry(f"{uris['host']}/count", HOST, PSK),
    ]
    async with running_sink(deployment, *entries) as running:
        for publisher in (METER, WATER, HOST):
            await until(lambda publisher=publisher: len(running.rows(publisher)) >= 5)
    for publisher in (METER, WATER, HOST):
        assert len(runs(running.values(publisher))) == 1, "no gap, no repetition"
        assert {row.publisher for row in running.rows(publisher)} == {publisher}
    with ReadingStore.open_existing(running.database) as store:
        assert [count.publisher for count in store.counts()] == [HOST, METER, WATER]


async def test_two_resources_of_one_publisher_are_followed_on_one_connection(deployment: Deployment):
    uri = await deployment.start_publisher("meter")
    entries = [entry(f"{uri}/count", METER), entry(f"{uri}/other", METER)]
    async with running_sink(deployment, *entries) as running:
        await until(lambda: min(len(running.rows(METER, path)) for path in ("count", "other")) >= 3)


async def test_a_restart_of_the_publisher_costs_nothing_but_the_time_between(deployment: Deployment):
    uri = await deployment.start_publisher("meter")
    async with running_sink(deployment, entry(f"{uri}/count", METER)) as running:
        await until(lambda: len(running.rows(METER)) >= 5)
        await deployment.stop("meter")
        before = len(running.rows(METER))
        await until(lambda: bool(running.named("publisher lost")))
        await deployment.start_publisher("meter")
        await until(lambda: len(running.rows(METER)) >= before + 5)
    first, second = runs(running.values(METER))
    assert len(first) >= 5
    assert len(second) >= 5


async def test_a_publisher_that_was_killed_is_followed_again(deployment: Deployment):
    uri = await deployment.start_publisher("meter")
    await deployment.stop("meter")
    path = deployment.publisher_toml("meter")
    program = (
        "import asyncio, sys, pathlib\nfrom twoway import publisher\n"
        "config = publisher.load_config(pathlib.Path(sys.argv[1]))\n"
        "asyncio.run(publisher.serve(config, ready=lambda uri: print(uri, flush=True)))"
    )

    @asynccontextmanager
    async def process() -> AsyncIterator[asyncio.subprocess.Process]:
        started = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(path), stdout=subprocess.PIPE
        )
        assert started.stdout is not None
        async with asyncio.timeout(20):
            assert await started.stdout.readline() == f"{uri}\n".encode()
        try:
            yield started
        finally:
            started.send_signal(signal.SIGKILL)
            await started.wait()

    async with running_sink(deployment, entry(f"{uri}/count", METER, "max_silence = 0.7")) as running:
        async with process():
            await until(lambda: len(running.rows(METER)) >= 5)
        await until(lambda: bool(running.named("publisher silent")))
        before = len(running.rows(METER))
        async with process():
            await until(lambda: len(running.rows(METER)) >= before + 5, patience=30)
    assert len(runs(running.values(METER))) == 2


async def test_a_sink_that_restarts_stores_nothing_twice(deployment: Deployment):
    uri = await deployment.start_publisher("meter", interval=1.0)
    for _ in range(3):
        async with running_sink(deployment, entry(f"{uri}/count", METER)) as running:
            await until(lambda: bool(running.named("readings stored")))
    values = running.values(METER)
    assert len(values) == len(set(values))


async def test_bad_publishers_do_not_disturb_a_good_one(deployment: Deployment):
    good = await deployment.start_publisher("meter")
    impostor = await deployment.start_publisher("water")
    gone = await deployment.start_publisher("host")
    await deployment.stop("host")
    entries = [
        entry(f"{impostor}/count", identity_uri("somebody")),
        entry(f"{gone}/count", HOST, PSK),
        entry(f"{good}/count", METER),
        entry(f"{good}/nothing", METER),
    ]
    async with running_sink(deployment, *entries) as running:
        await until(lambda: len(running.rows(METER)) >= 10)
        await until(lambda: len(running.named("publisher lost")) >= 6)
    reasons = "\n".join(str(event.data["reason"]) for event in running.named("publisher lost"))
    assert f"the peer proved to be {WATER}, not {identity_uri('somebody')}" in reasons
    assert "4.04" in reasons
    with ReadingStore.open_existing(running.database) as store:
        assert [count.publisher for count in store.counts()] == [METER]


async def test_somebody_else_at_the_publishers_address_is_asked_nothing(deployment: Deployment):
    uri = await deployment.start_publisher("water")
    async with running_sink(deployment, entry(f"{uri}/count", METER)) as running:
        await until(lambda: len(running.named("publisher lost")) >= 2)
        before = len(running.named("publisher lost"))
        await asyncio.sleep(0.8)
        assert len(running.named("publisher lost")) - before <= 4, "there are pauses between the attempts"
    assert not [event for event in deployment.events if event.name.startswith("request")]


async def test_a_publisher_that_does_not_know_the_sink_is_said_what_to_do_about(deployment: Deployment):
    deployment.issue("other-sink", Role.SINK)
    uri = await deployment.start_publisher("meter")
    async with running_sink(deployment, entry(f"{uri}/count", METER), name="other-sink") as running:
        await until(lambda: bool(running.named("publisher lost")))
        reason = str(running.named("publisher lost")[0].data["reason"])
    assert "4.01" in reason
    assert "default_subscribers" in reason


async def test_a_wrong_key_is_no_way_in(deployment: Deployment):
    uri = await deployment.start_publisher("host")
    (deployment.folder / "psk.hex").write_text("ff" * 32)
    async with running_sink(deployment, entry(f"{uri}/count", HOST, PSK)) as running:
        await until(lambda: len(running.named("publisher lost")) >= 2)
        assert running.rows(HOST) == []


async def test_a_publisher_cannot_write_readings_of_another(deployment: Deployment):
    """A publisher with a good certificate and bad intentions."""
    deployment.issue("evil", Role.PUBLISHER, hosts=["127.0.0.1"])
    identity = deployment.identity("evil")
    evil = identity_uri("evil")

    class Evil(ObservableResource):
        async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
            forged = Pack(
                (Record(f"{METER}/count/count", "W", 1.7e9, 666.0), Record(f"{evil}/x", "W", 1.7e9, 1.0))
            )
            return aiocoap.Message(payload=forged.encode_cbor(), content_format=CONTENT_FORMAT_SENML_CBOR)

    class Garbage(ObservableResource):
        async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
            return aiocoap.Message(payload=os.urandom(50), content_format=CONTENT_FORMAT_SENML_CBOR)

    site = Site()
    site.add_resource(["count"], Evil())
    site.add_resource(["garbage"], Garbage())
    config = DTLSConfig(
        certificate=CertificateCredential(chain=identity.chain, private_key=identity.private_key),
        trust=identity.trust,
    )
    async with await Endpoint.open(host="127.0.0.1", accept=config) as endpoint:
        context = await open_context(endpoint, site=site)
        uri = f"coaps://127.0.0.1:{endpoint.address[1]}"
        entries = [entry(f"{uri}/count", evil), entry(f"{uri}/garbage", evil)]
        async with running_sink(deployment, *entries) as running:
            await until(lambda: bool(running.named("record refused") and running.named("readings stored")))
            await until(lambda: bool(running.named("payload refused")))
        await context.shutdown()
    with ReadingStore.open_existing(running.database) as store:
        assert [(count.publisher, count.readings) for count in store.counts()] == [(evil, 1)]
    assert running.named("record refused")[0].data["name"] == f"{METER}/count/count"


async def test_what_cannot_be_opened_is_said_before_anything_runs(deployment: Deployment):
    uri = await deployment.start_publisher("host")
    (deployment.folder / "psk.hex").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        async with running_sink(deployment, entry(f"{uri}/count", HOST, PSK)):
            pass
