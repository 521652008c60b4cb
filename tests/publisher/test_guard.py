"""The one door: nothing gets to a resource, and no notification leaves, without the check."""

from __future__ import annotations

import asyncio
import logging

import aiocoap
import pytest
from aiocoap.error import BadOption, NotFound
from aiocoap.pipe import Pipe
from publisher_world import METER, NOW, TOKEN_URI, IssuingAC, access_control, peer

from twoway.clock import ManualClock
from twoway.coap import SecureRemote
from twoway.dtls import Connected, HandshakeKind
from twoway.identity import Identity, PSKIdentity, identity_uri
from twoway.net import Connection, Traffic
from twoway.net.connection import Carrier
from twoway.publisher.guard import OBSERVATIONS_PER_CONNECTION, GuardedSite
from twoway.publisher.resources import ReadingResource
from twoway.publisher.sessions import Sessions
from twoway.readings import Record
from twoway.tickets import CONTENT_FORMAT_ACE, CreationHints, Method, Scope

POWER = ("power",)


class Scene:
    """A guarded site with one reading, a clock that is moved by hand, and peers that ask."""

    def __init__(self, *defaults: str) -> None:
        self.ac = IssuingAC()
        self.clock = ManualClock(NOW)
        self.access = access_control(self.ac, *defaults)
        self.ended: list[Connection] = []
        self.sessions = Sessions(self.access, end_connection=self.ended.append)
        self.site = GuardedSite(self.access, self.sessions, clock=self.clock)
        self.reading = ReadingResource(base_name="urn:x/power/", interval=1.0, resource_type="reading")
        self.site.add(POWER, self.reading)
        self.numbers = 0
        self.measure()

    def measure(self) -> None:
        self.numbers += 1
        self.reading.publish([Record(name="p", time=NOW.timestamp() + self.numbers, value=self.numbers)])

    def connect(self, who: Identity) -> SecureRemote:
        self.numbers += 1
        return SecureRemote(
            Connection(
                Connected(peer=who, suite="TLS_TEST", group=None, kind=HandshakeKind.FULL),
                number=self.numbers,
                remote=("127.0.0.1", 40000),
                local=("127.0.0.1", 5684),
                outgoing=False,
                traffic=Traffic(),
                carrier=Carrier(send=lambda data: None, close=lambda: None, fault=lambda error: None),
            )
        )

    def holder(self, *, seconds: int = 60) -> SecureRemote:
        reader = peer("reader")
        self.access.upload_untrusted(self.ac.ticket(reader, seconds=seconds), reader, now=self.clock.now())
        return self.connect(reader)


class Exchange:
    """A request on its way through the site, and what was answered to it."""

    def __init__(self, site: GuardedSite, remote: SecureRemote, path=POWER, **options: object) -> None:
        request = aiocoap.Message(code=aiocoap.GET, uri_path=path, **options)
        request.remote = remote
        request.direction = aiocoap.message.Direction.INCOMING
        self.answers: list[aiocoap.Message] = []
        self.over = False
        self._pipe = Pipe(request, logging.getLogger("test"))
        self._pipe.on_event(self._on_event)
        self.task = asyncio.create_task(site.render_to_pipe(self._pipe))
        self._pipe.on_interest_end(self.task.cancel)

    def _on_event(self, event: Pipe.Event) -> bool:
        self.answers.append(event.message)
        self.over = event.is_last
        return not event.is_last

    async def settled(self) -> list[aiocoap.Message]:
        """Let everything run that can run."""
        for _ in range(10):
            await asyncio.sleep(0)
        return self.answers


async def test_a_notification_after_the_ticket_has_expired_is_the_refusal_and_the_last():
    scene = Scene()
    exchange = Exchange(scene.site, scene.holder(seconds=60), observe=0)
    assert [answer.code for answer in await exchange.settled()] == [aiocoap.CONTENT]
    scene.clock.advance(59)
    scene.measure()
    assert [answer.code for answer in await exchange.settled()] == [aiocoap.CONTENT] * 2
    scene.clock.advance(1)
    scene.measure()
    last = (await exchange.settled())[2]
    assert last.code is aiocoap.UNAUTHORIZED
    assert last.opt.observe is None
    assert exchange.over
    scene.measure()
    assert len(await exchange.settled()) == 3
    assert exchange.task.done()


async def test_the_end_of_rights_reaches_an_observer_without_any_new_reading():
    scene = Scene()
    remote = scene.holder(seconds=60)
    exchange = Exchange(scene.site, remote, observe=0)
    await exchange.settled()
    scene.clock.advance(60)
    scene.sessions.end_lost(scene.clock.now())
    assert [answer.code for answer in await exchange.settled()] == [aiocoap.CONTENT, aiocoap.UNAUTHORIZED]
    assert exchange.over
    assert scene.ended == [remote.connection]
    assert scene.sessions.observations(remote.connection) == 0
    scene.measure()
    assert len(await exchange.settled()) == 2


async def test_an_observation_that_the_peer_cancels_is_no_longer_counted():
    scene = Scene()
    remote = scene.holder()
    exchange = Exchange(scene.site, remote, observe=0)
    await exchange.settled()
    assert scene.sessions.observations(remote.connection) == 1
    exchange.task.cancel()
    await asyncio.wait([exchange.task])
    assert scene.sessions.observations(remote.connection) == 0


async def test_an_observation_without_a_ticket_never_starts():
    scene = Scene()
    remote = scene.connect(peer("stranger"))
    exchange = Exchange(scene.site, remote, observe=0)
    assert [answer.code for answer in await exchange.settled()] == [aiocoap.UNAUTHORIZED]
    assert exchange.over
    assert scene.sessions.observations(remote.connection) == 0


async def test_a_request_for_a_later_block_starts_no_observation():
    scene = Scene(identity_uri("sink"))
    exchange = Exchange(scene.site, scene.connect(peer("sink")), observe=0, block2=(0, False, 0))
    (answer,) = await exchange.settled()
    assert answer.opt.observe == 0
    later = Exchange(scene.site, scene.connect(peer("sink")), observe=0, block2=(1, False, 0))
    (answer,) = await later.settled()
    assert answer.opt.observe is None
    assert later.over


async def test_the_rest_of_a_reading_is_of_the_one_that_was_begun():
    scene = Scene(identity_uri("sink"))
    remote = scene.connect(peer("sink"))
    whole = (await Exchange(scene.site, remote).settled())[0].payload
    body = b""
    for number in range((len(whole) + 15) // 16):
        (answer,) = await Exchange(scene.site, remote, block2=(number, False, 0)).settled()
        body += answer.payload
        scene.measure()
    assert body == whole


async def test_a_site_cannot_be_rendered_past_the_guard():
    scene = Scene(identity_uri("sink"))
    request = aiocoap.Message(code=aiocoap.GET, uri_path=POWER)
    request.remote = scene.connect(peer("sink"))
    with pytest.raises(NotFound):
        await scene.site.render(request)


async def test_many_observers_are_asked_to_confirm_only_now_and_then():
    scene = Scene(identity_uri("sink"))
    exchanges = [Exchange(scene.site, scene.connect(peer("sink")), observe=0) for _ in range(65)]
    for exchange in exchanges:
        await exchange.settled()
    for _ in range(8):
        scene.measure()
        await exchanges[0].settled()
    reliable = [answer.transport_tuning.reliability for answer in exchanges[0].answers[1:]]
    assert sorted(reliable) == [False] * 7 + [True]


async def test_few_observers_confirm_each_notification():
    scene = Scene(identity_uri("sink"))
    exchange = Exchange(scene.site, scene.connect(peer("sink")), observe=0)
    await exchange.settled()
    scene.measure()
    assert (await exchange.settled())[1].transport_tuning.reliability is True


@pytest.mark.parametrize("options", [{"if_match": [b""]}, {"if_none_match": True}, {"uri_path_abbrev": 0}])
async def test_a_request_with_an_option_that_is_not_understood_does_not_get_to_the_resource(options):
    scene = Scene(identity_uri("sink"))
    exchange = Exchange(scene.site, scene.connect(peer("sink")), **options)
    await exchange.settled()
    with pytest.raises(BadOption):
        await exchange.task
    assert exchange.answers == []


def told(scene: Scene) -> list[tuple[str, dict[str, object]]]:
    """Let the site tell of its decisions from now on."""
    events: list[tuple[str, dict[str, object]]] = []
    scene.site = GuardedSite(
        scene.access,
        scene.sessions,
        clock=scene.clock,
        trace=lambda event: events.append((f"{event.source}: {event.name}", dict(event.data))),
    )
    scene.site.add(POWER, scene.reading)
    return events


async def test_a_refusal_by_ticket_says_where_one_is_to_be_had_and_another_says_nothing():
    """RFC 9200 section 5.3."""
    scene = Scene()
    (stranger,) = await Exchange(scene.site, scene.connect(peer("stranger"))).settled()
    assert stranger.code is aiocoap.UNAUTHORIZED
    assert stranger.opt.content_format == CONTENT_FORMAT_ACE
    hints = CreationHints.parse_untrusted(stranger.payload)
    assert (hints.as_uri, hints.audience) == (TOKEN_URI, METER)
    (shared,) = await Exchange(scene.site, scene.connect(PSKIdentity(b"sink"))).settled()
    assert (shared.code, shared.payload, shared.opt.content_format) == (aiocoap.UNAUTHORIZED, b"", None)


async def test_the_refusal_that_ends_an_observation_is_one_that_has_to_arrive():
    scene = Scene()
    exchange = Exchange(scene.site, scene.holder(seconds=60), observe=0)
    await exchange.settled()
    scene.clock.advance(60)
    scene.measure()
    last = (await exchange.settled())[-1]
    assert last.code is aiocoap.UNAUTHORIZED
    assert last.transport_tuning.reliability is True
    assert CreationHints.parse_untrusted(last.payload).as_uri == TOKEN_URI


async def test_a_path_that_is_not_there_is_not_found_only_for_those_who_might_have_it():
    scene = Scene(identity_uri("sink"))
    for path in (("nowhere",), (), ("power", "")):
        exchange = Exchange(scene.site, scene.connect(peer("sink")), path=path)
        await exchange.settled()
        with pytest.raises(NotFound):
            await exchange.task
        (answer,) = await Exchange(scene.site, scene.connect(peer("stranger")), path=path).settled()
        assert answer.code is aiocoap.UNAUTHORIZED


async def test_a_resource_has_no_queries():
    scene = Scene(identity_uri("sink"))
    exchange = Exchange(scene.site, scene.connect(peer("sink")), uri_query=["x"])
    await exchange.settled()
    with pytest.raises(NotFound):
        await exchange.task


async def test_what_is_open_is_open_by_its_own_path_alone():
    scene = Scene()
    scene.site.add_open(("list",), scene.reading)
    stranger = scene.connect(peer("stranger"))
    (answer,) = await Exchange(scene.site, stranger, path=("list",)).settled()
    assert answer.code is aiocoap.CONTENT
    for path in (("list", ""), ("x", "list"), ("List",)):
        (answer,) = await Exchange(scene.site, stranger, path=path).settled()
        assert answer.code is aiocoap.UNAUTHORIZED


async def test_the_list_of_resources_has_what_the_peer_may_read_now_and_what_is_open():
    scene = Scene(identity_uri("sink"))
    scene.site.add(("history",), scene.reading)
    scene.site.add_open(("list",), scene.reading)
    holder = scene.holder(seconds=60).connection.peer

    def paths(who: Identity) -> list[tuple[str, ...]]:
        assert all(resource is scene.reading for _, resource in scene.site.links(who))
        return [path for path, _ in scene.site.links(who)]

    assert paths(peer("sink")) == [POWER, ("history",), ("list",)]
    assert paths(holder) == [POWER, ("list",)]
    assert paths(peer("stranger")) == [("list",)]
    scene.clock.advance(60)
    assert paths(holder) == [("list",)]


async def test_a_ticket_to_write_makes_no_resource_readable():
    scene, writer = Scene(), peer("writer")
    to_write = Scope((("/power", Method.PUT),))
    scene.access.upload_untrusted(scene.ac.ticket(writer, to_write), writer, now=NOW)
    assert scene.site.links(writer) == []


async def test_one_connection_observes_so_often_and_is_answered_once_beyond():
    scene = Scene(identity_uri("sink"))
    remote = scene.connect(peer("sink"))
    for _ in range(OBSERVATIONS_PER_CONNECTION):
        (answer,) = await Exchange(scene.site, remote, observe=0).settled()
        assert answer.opt.observe is not None
    beyond = Exchange(scene.site, remote, observe=0)
    (answer,) = await beyond.settled()
    assert (answer.code, answer.opt.observe, beyond.over) == (aiocoap.CONTENT, None, True)
    assert scene.sessions.observations(remote.connection) == OBSERVATIONS_PER_CONNECTION


@pytest.mark.parametrize("options", [{}, {"observe": 1}], ids=["a request", "the end of an observation"])
async def test_what_begins_no_observation_is_answered_once(options):
    scene = Scene(identity_uri("sink"))
    remote = scene.connect(peer("sink"))
    exchange = Exchange(scene.site, remote, **options)
    (answer,) = await exchange.settled()
    assert (answer.code, answer.opt.observe, exchange.over) == (aiocoap.CONTENT, None, True)
    assert scene.sessions.observations(remote.connection) == 0


async def test_a_request_that_passed_is_remembered_so_that_the_end_of_its_rights_ends_the_association():
    scene = Scene()
    remote, stranger = scene.holder(seconds=60), scene.connect(peer("stranger"))
    for asks in (remote, stranger):
        await Exchange(scene.site, asks).settled()
    scene.clock.advance(60)
    scene.sessions.end_lost(scene.clock.now())
    assert scene.ended == [remote.connection]


async def test_each_decision_is_told_with_its_ground():
    scene = Scene(identity_uri("sink"))
    events = told(scene)
    holder = scene.holder()
    ticket = next(iter(scene.access.holdings)).ticket_id.hex()
    await Exchange(scene.site, holder).settled()
    await Exchange(scene.site, scene.connect(peer("sink"))).settled()
    await Exchange(scene.site, holder, path=("history",)).settled()
    about = {"method": "GET", "target": "/power"}
    reader, sink = {"peer": identity_uri("reader")}, {"peer": identity_uri("sink")}
    assert events == [
        ("publisher: request permitted", reader | about | {"because": f"ticket {ticket}"}),
        ("publisher: request permitted", sink | about | {"because": "default subscriber"}),
        (
            "publisher: request refused",
            reader | about | {"target": "/history", "because": "not_covered"},
        ),
    ]


async def test_blocks_are_never_put_together_before_the_check():
    scene = Scene()
    assert await scene.site.needs_blockwise_assembly(aiocoap.Message(code=aiocoap.GET)) is False
