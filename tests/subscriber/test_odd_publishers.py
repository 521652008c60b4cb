"""Publishers with a good certificate and odd manners, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiocoap
import pytest
from aiocoap.protocol import ServerObservation
from aiocoap.resource import ObservableResource, Resource, Site
from deployment import Deployment, until

from twoway.coap import connection_of, open_context
from twoway.dtls import CertificateCredential, DTLSConfig
from twoway.errors import PeerError, RefusedError
from twoway.identity import identity_uri
from twoway.net import Endpoint
from twoway.readings import CONTENT_FORMAT_SENML_CBOR, Pack, Record
from twoway.subscriber import ACReference, Reading, Subscriber
from twoway.tickets import CONTENT_FORMAT_ACE
from twoway.trace import TraceEvent

METER = identity_uri("meter")


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


@asynccontextmanager
async def odd_publisher(deployment: Deployment, resource: Resource) -> AsyncIterator[str]:
    """Serve ``resource`` under the meter's certificate and return its URI."""
    identity = deployment.identity("meter")
    site = Site()
    site.add_resource(["count"], resource)
    config = DTLSConfig(
        certificate=CertificateCredential(chain=identity.chain, private_key=identity.private_key),
        trust=identity.trust,
    )
    async with await Endpoint.open(host="127.0.0.1", accept=config) as endpoint:
        context = await open_context(endpoint, site=site)
        try:
            yield f"coaps://127.0.0.1:{endpoint.address[1]}/count"
        finally:
            await context.shutdown()


def reading(value: float = 1.0) -> aiocoap.Message:
    pack = Pack((Record("count", None, 1.7e9, value),), f"{METER}/")
    return aiocoap.Message(payload=pack.encode_cbor(), content_format=CONTENT_FORMAT_SENML_CBOR)


async def collect(readings: AsyncIterator[Reading], values: list[float | None]) -> None:
    """Put down what is read until it ends."""
    async with asyncio.timeout(20):
        async for each in readings:
            values.append(each.records[0].value)


class Fixed(Resource):
    """Answers the same to everybody."""

    def __init__(self, answer: aiocoap.Message) -> None:
        super().__init__()
        self.answer = answer
        self.asked = 0

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        self.asked += 1
        return self.answer.copy()


class Hanging(Resource):
    """Closes the connection of the first who asks, and answers the others."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        self.asked += 1
        if self.asked == 1:
            connection_of(request).close()
        return reading()


class Fickle(ObservableResource):
    """Takes every observation and ends it at once."""

    def __init__(self) -> None:
        super().__init__()
        self.registrations = 0

    async def add_observation(self, request: aiocoap.Message, observation: ServerObservation) -> None:
        self.registrations += 1
        observation.accept(lambda: None)
        last = aiocoap.Message(code=aiocoap.SERVICE_UNAVAILABLE)
        asyncio.get_running_loop().call_later(0.05, lambda: observation.trigger(last, is_last=True))

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        return reading()


async def test_a_connection_that_ends_under_the_question_is_opened_once_more(deployment: Deployment):
    resource = Hanging()
    async with (
        odd_publisher(deployment, resource) as uri,
        Subscriber(deployment.identity("reader")) as reader,
    ):
        assert (await reader.read(uri)).records[0].value == 1.0
    assert resource.asked == 2


async def test_a_publisher_that_ends_every_observation_is_asked_twice_and_repeats_nothing(
    deployment: Deployment,
):
    resource = Fickle()
    values: list[float | None] = []
    async with (
        odd_publisher(deployment, resource) as uri,
        Subscriber(deployment.identity("reader")) as reader,
    ):
        with pytest.raises(RefusedError, match="ends every observation at once"):
            await collect(reader.observe(uri), values)
    assert values == [1.0]
    assert resource.registrations == 2


async def test_a_resource_that_cannot_be_observed_is_read_once_and_said_to_be_so(deployment: Deployment):
    values: list[float | None] = []
    async with odd_publisher(deployment, Fixed(reading())) as uri:
        async with Subscriber(deployment.identity("reader")) as reader:
            with pytest.raises(PeerError, match="does not let this resource be observed"):
                await collect(reader.observe(uri), values)
    assert values == [1.0]


@pytest.mark.parametrize(
    "answer",
    [
        aiocoap.Message(payload=b"\xff\x00", content_format=CONTENT_FORMAT_SENML_CBOR),
        aiocoap.Message(payload=b"12.5"),
        aiocoap.Message(payload=b"<html>", content_format=0),
        aiocoap.Message(code=aiocoap.INTERNAL_SERVER_ERROR, payload=b"\x1b[2J"),
        aiocoap.Message(code=aiocoap.UNAUTHORIZED, payload=b"\xff", content_format=CONTENT_FORMAT_ACE),
        aiocoap.Message(code=aiocoap.UNAUTHORIZED, payload=b"\x80", content_format=CONTENT_FORMAT_ACE),
    ],
)
async def test_an_answer_that_is_none_is_the_publishers_fault_in_one_sentence(
    deployment: Deployment, answer: aiocoap.Message
):
    ac = ACReference("coaps://127.0.0.1:9/token", identity_uri("ac"))
    async with odd_publisher(deployment, Fixed(answer)) as uri:
        async with Subscriber(deployment.identity("reader"), ac=ac) as reader:
            with pytest.raises(PeerError) as raised:
                await reader.read(uri)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("code", "ac"),
    [
        (aiocoap.UNAUTHORIZED, ACReference("coaps://127.0.0.1:9/token", identity_uri("ac"))),
        (aiocoap.FORBIDDEN, None),
        (aiocoap.METHOD_NOT_ALLOWED, None),
    ],
)
async def test_a_bare_no_is_a_refusal(deployment: Deployment, code: aiocoap.Code, ac: ACReference | None):
    """Of 4.01 without a hint, and of the others where there is no AC that could change it."""
    resource = Fixed(aiocoap.Message(code=code))
    async with odd_publisher(deployment, resource) as uri:
        async with Subscriber(deployment.identity("reader"), ac=ac) as reader:
            with pytest.raises(RefusedError):
                await reader.read(uri)
    assert resource.asked == 1


async def test_a_peer_that_is_refused_loses_the_connection(deployment: Deployment):
    events: list[TraceEvent] = []
    resource = Fixed(reading())
    async with odd_publisher(deployment, resource) as uri:
        async with Subscriber(deployment.identity("reader"), trace=events.append) as reader:
            with pytest.raises(RefusedError):
                await reader.read(uri, publisher=identity_uri("somebody"))
            await until(lambda: any(event.name == "association closed" for event in events))
    assert resource.asked == 0
