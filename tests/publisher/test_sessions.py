"""When rights end, what runs on them ends: observations first, then the association."""

from __future__ import annotations

from datetime import timedelta

from publisher_world import NOW, IssuingAC, access_control, peer

from twoway.dtls import Closed, ClosedBy, Connected, HandshakeKind
from twoway.identity import Identity, PSKIdentity, identity_uri
from twoway.net import Connection, Traffic
from twoway.net.connection import Carrier
from twoway.publisher.refusal import AccessReason, AccessRefused
from twoway.publisher.sessions import Sessions
from twoway.trace import TraceEvent

MINUTE = timedelta(minutes=1)


def connection(who: Identity) -> Connection:
    return Connection(
        Connected(peer=who, suite="TLS_TEST", group=None, kind=HandshakeKind.FULL),
        number=1,
        remote=("127.0.0.1", 40000),
        local=("127.0.0.1", 5684),
        outgoing=False,
        traffic=Traffic(),
        carrier=Carrier(send=lambda data: None, close=lambda: None, fault=lambda error: None),
    )


class Stage:
    """Sessions with a record of what they ended, in order."""

    def __init__(self, *defaults: str) -> None:
        self.ac = IssuingAC()
        self.access = access_control(self.ac, *defaults)
        self.ended: list[object] = []
        self.events: list[TraceEvent] = []
        self.sessions = Sessions(self.access, end_connection=self.ended.append, trace=self.events.append)

    def reader(self, *, seconds: int = 60) -> Connection:
        """Somebody with a ticket who has used it."""
        reader = peer("reader")
        self.access.upload_untrusted(self.ac.ticket(reader, seconds=seconds), reader, now=NOW)
        used = connection(reader)
        self.sessions.note(used)
        return used


class Observing:
    def __init__(self, ended: list[object]) -> None:
        self._ended = ended

    def refuse(self, refusal: AccessRefused) -> None:
        self._ended.append(refusal.reason)


def test_nothing_ends_while_the_ticket_lasts():
    stage = Stage()
    stage.reader()
    stage.sessions.end_lost(NOW + MINUTE - timedelta(seconds=1))
    assert stage.ended == []


def test_observations_are_told_before_the_association_is_closed():
    stage = Stage()
    used = stage.reader()
    with stage.sessions.observing(used, Observing(stage.ended)):
        assert stage.sessions.observations(used) == 1
        stage.sessions.end_lost(NOW + MINUTE)
    assert stage.ended == [AccessReason.NO_TICKET, used]
    assert [(event.name, event.data["observations"]) for event in stage.events] == [("rights ended", 1)]


def test_the_end_comes_once():
    stage = Stage()
    used = stage.reader()
    stage.sessions.end_lost(NOW + MINUTE)
    stage.sessions.end_lost(NOW + MINUTE)
    assert stage.ended == [used]


def test_an_observation_that_is_over_is_not_told():
    stage = Stage()
    used = stage.reader()
    with stage.sessions.observing(used, Observing(stage.ended)):
        pass
    assert stage.sessions.observations(used) == 0
    stage.sessions.end_lost(NOW + MINUTE)
    assert stage.ended == [used]


def test_a_renewed_ticket_keeps_the_association():
    stage = Stage()
    used = stage.reader()
    renewed = stage.ac.ticket(used.peer, at=NOW + MINUTE / 2, seconds=60)
    stage.access.upload_untrusted(renewed, used.peer, now=NOW + MINUTE / 2)
    stage.sessions.end_lost(NOW + MINUTE)
    assert stage.ended == []
    stage.sessions.end_lost(NOW + 1.5 * MINUTE)
    assert stage.ended == [used]


def test_a_default_subscriber_is_ended_with_its_certificate_alone():
    """T28."""
    stage = Stage(identity_uri("sink"), "psk:sink")
    sink, psk_sink = connection(peer("sink", days=1)), connection(PSKIdentity(b"sink"))
    stage.sessions.note(sink)
    stage.sessions.note(psk_sink)
    stage.sessions.end_lost(NOW + timedelta(days=1) - MINUTE)
    assert stage.ended == []
    stage.sessions.end_lost(NOW + timedelta(days=1))
    assert stage.ended == [sink]


def test_a_peer_that_never_had_rights_is_left_alone_to_get_a_ticket():
    stage = Stage()
    stage.sessions.end_lost(NOW)
    assert stage.ended == []


def test_a_connection_that_closes_is_forgotten():
    stage = Stage()
    used = stage.reader()
    used.end(Closed(ClosedBy.PEER, None, "the peer closed", established=True))
    stage.sessions.end_lost(NOW + MINUTE)
    assert stage.ended == []


def test_a_connection_that_has_closed_is_not_remembered():
    stage = Stage()
    used = connection(peer("sink"))
    used.end(Closed(ClosedBy.PEER, None, "the peer closed", established=True))
    stage.sessions.note(used)
    stage.sessions.end_lost(NOW)
    assert stage.ended == []
