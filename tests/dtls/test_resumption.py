"""Resumption, as it should go: what comes back, what is kept, and what it costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from dtls_cases import KINDS, configs, peers
from dtls_pair import Datagram, Pair, client_config, server_config
from dtls_rogue import client_hello, rogue_client, without
from dtls_wires import delay, duplicate, lose, lossy, reverse_flights, silence_from
from resuming import LIFETIME, SECRET, WAYS, Meeting, is_resumed, server_resumption
from small_pki import NOW, small_pki

from twoway.dtls import HandshakeKind, Resumption, Retransmission, SessionTickets, suites
from twoway.dtls.abbreviated import make_ticket
from twoway.dtls.handshaking import Handshaking
from twoway.dtls.messages.handshake import HandshakeType, parse_fragments_untrusted
from twoway.dtls.messages.hello import ExtensionType, ServerHello
from twoway.dtls.record import ContentType
from twoway.errors import CallerError, ConfigurationError

each_way = pytest.mark.parametrize("by", WAYS)
each_kind = pytest.mark.parametrize("kind", KINDS)


def plain_messages(sent: list[Datagram]) -> Counter[int]:
    """The types of the messages that travelled without protection, whole or in part."""
    return Counter(
        fragment.type
        for datagram in sent
        for record in datagram.records
        if record.type == ContentType.HANDSHAKE and record.epoch == 0
        for fragment in parse_fragments_untrusted(record.fragment)
    )


# --- what comes back ----------------------------------------------------------------------------


@each_way
@each_kind
def test_everything_that_was_proved_comes_back(by, kind):
    first = Meeting(by, kind)
    pair = first.again()
    assert is_resumed(pair)
    for before, after, peer in zip(
        (first.pair.client, first.pair.server), (pair.client, pair.server), peers(kind), strict=True
    ):
        assert after.connected == replace(before.connected, resumed=True, group=None)
        assert after.connected.peer == after.association.peer == peer
        assert after.connected.kind is HandshakeKind.FULL


@each_way
@each_kind
def test_it_takes_five_datagrams_and_shows_neither_certificate_nor_key(by, kind):
    pair = Meeting(by, kind).again().connect()
    assert [datagram.to_server for datagram in pair.sent] == [True, False, True, False, True]
    assert plain_messages(pair.sent) == {
        HandshakeType.CLIENT_HELLO: 2,
        HandshakeType.HELLO_VERIFY_REQUEST: 1,
        HandshakeType.SERVER_HELLO: 1,
    }


@each_way
def test_each_association_has_keys_of_its_own(by):
    first = Meeting(by)
    pairs = [first.pair, first.again().connect(), first.again().connect()]
    for pair in pairs:
        pair.client.send(b"the same words")
        pair.run()
    assert len({pair.sent[-1].data[13 + 8 :] for pair in pairs}) == 3


@each_way
def test_a_session_can_be_resumed_again_and_again_and_never_ends_later(by):
    first = Meeting(by)
    end = first.held.session.not_after
    assert end == NOW + timedelta(seconds=LIFETIME)
    for _ in range(3):
        first.pass_time(LIFETIME / 4)
        pair = first.again()
        assert is_resumed(pair)
        first.held = pair.client.association.session
        assert first.held.session.not_after == end
        assert pair.server.association._held.session.not_after == end
    first.pass_time(LIFETIME / 4)
    assert not is_resumed(first.again())


def said(pair: Pair, kind: HandshakeType) -> bytes:
    """The body of a message that the server said without protection."""
    return next(
        fragment.data
        for datagram in pair.sent
        if not datagram.to_server
        for record in datagram.records
        if record.type == ContentType.HANDSHAKE and record.epoch == 0
        for fragment in parse_fragments_untrusted(record.fragment)
        if fragment.type == kind
    )


@each_way
def test_an_abbreviated_answer_says_the_order_of_encryption_and_mac_and_not_the_fragment_length(by):
    """RFC 7366 section 2, RFC 6066 section 1.1."""
    changes = {"max_fragment_length": 512, "suites": (suites.ECDHE_PSK_AES_128_CBC_SHA256,)}
    pair = Meeting(by, "psk", changes=changes).again()
    assert is_resumed(pair)
    extensions = ServerHello.parse_untrusted(said(pair, HandshakeType.SERVER_HELLO)).extensions
    assert ExtensionType.ENCRYPT_THEN_MAC in extensions
    assert ExtensionType.MAX_FRAGMENT_LENGTH not in extensions


@each_way
def test_a_server_repeats_its_abbreviated_flight_by_itself(by):
    first = Meeting(by)
    pair = first.again(client=replace(first.client, retransmission=Retransmission(initial=30.0)))
    pair.wire = lose(3)
    assert is_resumed(pair)
    assert pair.server.counters["flights resent"] == 1
    assert pair.now < 3


def test_a_session_that_is_taken_back_while_it_is_resumed_is_not_kept_again():
    first = Meeting("id")
    pair = first.again()
    pair.start()
    pair.run(until=0.035)
    first.server.resumption.store.forget(first.held.session_id)
    pair.run()
    assert pair.server.connected.resumed
    assert not is_resumed(first.again())


def test_where_there_is_no_session_after_all_the_ticket_that_was_promised_is_empty():
    """RFC 5077 section 3.3."""

    def deadline(identity):
        raise OSError("nobody can say")

    server = server_config(resumption=server_resumption("ticket", deadline=deadline))
    pair = Pair(client_config(resumption=Resumption()), server).connect()
    assert said(pair, HandshakeType.NEW_SESSION_TICKET) == bytes(6)
    assert pair.client.association.session is None


def test_a_client_that_asks_for_a_ticket_gets_no_session_id():
    first = Meeting("either")
    assert (bool(first.held.ticket), first.held.session_id) == (True, b"")
    assert len(first.server.resumption.store) == 0
    assert is_resumed(first.again())


def test_a_client_that_does_not_know_tickets_is_found_by_its_session_id():
    first = Meeting("id")
    assert (first.held.ticket, len(first.held.session_id)) == (b"", 32)
    assert is_resumed(first.again(server=replace(first.server, resumption=both(first))))


def both(first: Meeting) -> Resumption:
    return replace(first.server.resumption, tickets=SessionTickets(SECRET, since=NOW))


@pytest.mark.parametrize("by", ["id", "either"])
def test_a_server_holds_a_session_by_the_id_that_it_gave_and_by_none_that_came_with_a_ticket(by):
    """What went wrong is taken back by its ID: a client must not be able to name another one's."""
    first = Meeting(by)
    pair = first.again()
    assert is_resumed(pair)
    assert pair.server.association._held.session_id == first.held.session_id
    assert bool(first.held.session_id) is (by == "id")


def test_a_client_that_never_heard_of_tickets_is_found_by_its_session_id_too():
    first = Meeting("id")
    hello = client_hello(extensions=without(ExtensionType.SESSION_TICKET))
    pair = first.again(client_handshake=rogue_client(**hello))
    assert is_resumed(pair)
    assert pair.server.association._held.session_id == first.held.session_id


def test_workers_that_share_a_secret_resume_each_others_sessions():
    first = Meeting("ticket")
    other_worker = replace(first.server, resumption=server_resumption("ticket"))
    assert other_worker.resumption.tickets is not first.server.resumption.tickets
    assert is_resumed(first.again(server=other_worker))


def test_workers_that_share_a_store_resume_each_others_sessions():
    first = Meeting("id")
    other_worker = replace(first.server, resumption=Resumption(store=first.server.resumption.store))
    assert is_resumed(first.again(server=other_worker))


def test_a_one_sided_session_stays_one_sided():
    admit = frozenset(HandshakeKind)
    first = Meeting(changes={"admit": admit})
    one_sided = replace(first.client, certificate=None)
    pair = first.anew(client=one_sided).connect()
    pair = first.again(client=one_sided, held=pair.client.association.session)
    assert is_resumed(pair)
    assert pair.client.connected.kind is HandshakeKind.SERVER_AUTHENTICATED
    assert pair.server.connected.kind is HandshakeKind.SERVER_AUTHENTICATED
    assert pair.server.connected.peer.uri == "unauthenticated:"


@each_way
@pytest.mark.parametrize("field", ["max_fragment_length", "record_size_limit"])
def test_record_lengths_are_bounded_again(by, field, monkeypatch):
    told = []
    monkeypatch.setattr(Handshaking, "limit_plaintext", lambda self, **limits: told.append(limits))
    first = Meeting(by, changes={field: 512})
    assert told == [{"sent": 512, "received": 512}] * 2
    assert is_resumed(first.again())
    assert told == [{"sent": 512, "received": 512}] * 4


@each_way
def test_connection_ids_are_agreed_upon_anew(by):
    first = Meeting(by, changes={"connection_id_bytes": 6})
    pair = first.again()
    assert is_resumed(pair)
    ids = [
        side.association._agreement.connection_ids for side in (first.pair.client, pair.client, pair.server)
    ]
    assert ids[0] != ids[1]
    assert (ids[1].ours, ids[1].peers) == (ids[2].peers, ids[2].ours)
    assert len(ids[1].ours) == 6


# --- what is kept -------------------------------------------------------------------------------


def test_nothing_is_asked_for_or_given_unless_configured():
    pair = Pair(seed=5).connect()
    assert pair.client.association.session is None
    assert pair.server.association._held is None
    first = Meeting("either")
    silent_server = first.again(server=server_config())
    assert not is_resumed(silent_server)
    assert silent_server.client.association.session is None
    silent_client = first.anew(client=client_config()).connect()
    assert silent_client.client.association.session is None
    assert HandshakeType.NEW_SESSION_TICKET not in plain_messages(silent_client.sent)


def test_a_session_without_resumption_in_the_configuration_is_the_callers_mistake():
    first = Meeting()
    with pytest.raises(CallerError, match="does not resume sessions; set its resumption"):
        first.again(client=client_config())


def test_a_server_has_no_session_to_offer():
    first = Meeting()
    assert first.pair.server.association.session is None


def test_a_session_ends_with_the_lifetime_or_the_certificate_or_the_callers_deadline():
    soon, sooner = NOW + timedelta(minutes=20), NOW + timedelta(minutes=10)
    brief = small_pki().ca.mint("brief", not_after=soon)
    for deadline, end in [
        (None, soon),
        (lambda peer: None, soon),
        (lambda peer: sooner, sooner),
        (lambda peer: NOW + timedelta(days=9), soon),
    ]:
        client = client_config(brief, resumption=Resumption())
        resumption = server_resumption("id", deadline=deadline)
        pair = Pair(client, server_config(resumption=resumption)).connect()
        assert pair.server.association._held.session.not_after == end
        assert pair.client.association.session.session.not_after == NOW + timedelta(seconds=3600)


def test_the_servers_hint_shortens_the_clients_session():
    client = client_config(resumption=Resumption(lifetime=7200))
    pair = Pair(client, server_config(resumption=server_resumption("ticket", lifetime=600))).connect()
    assert pair.client.association.session.session.not_after == NOW + timedelta(seconds=600)


def test_a_hint_does_not_lengthen_the_clients_session():
    client = client_config(resumption=Resumption(lifetime=600))
    pair = Pair(client, server_config(resumption=server_resumption("ticket", lifetime=7200))).connect()
    assert pair.client.association.session.session.not_after == NOW + timedelta(seconds=600)


@pytest.mark.parametrize(
    ("deadline", "why"),
    [
        (lambda peer: NOW / 0, "could not be found out"),
        (lambda peer: NOW, "would end before it begins"),
        (lambda peer: NOW.replace(tzinfo=None, year=2027), "naive time"),
    ],
    ids=["raises", "passed", "naive"],
)
@each_way
def test_a_deadline_that_fails_or_has_passed_leaves_no_session_to_resume(by, deadline, why):
    first = Meeting(by)
    server = replace(first.server, resumption=server_resumption(by, deadline=deadline))
    pair = first.anew(server=server).connect()
    held = pair.client.association.session
    assert pair.server.association._held is None
    assert why in pair.server.traced("session declined")[0].data["why"]
    assert (held is None) == (by == "ticket")
    assert held is None or not is_resumed(first.again(server=server, held=held))


def test_an_unauthenticated_handshake_leaves_no_session():
    client, server = configs("p-256")
    changes = {"admit": frozenset({HandshakeKind.ANONYMOUS}), "suites": suites.ANONYMOUS_SUITES}
    for by in WAYS:
        pair = Pair(
            replace(client, resumption=Resumption(), **changes),
            replace(server, resumption=server_resumption(by), **changes),
        ).connect()
        assert pair.client.connected.kind is HandshakeKind.ANONYMOUS
        assert pair.client.association.session is pair.server.association._held is None


def test_a_ticket_of_the_former_key_is_replaced_and_a_fresh_one_is_not():
    first = Meeting("ticket", changes={})
    fresh = first.again().connect()
    assert HandshakeType.NEW_SESSION_TICKET not in plain_messages(fresh.sent)
    assert fresh.client.association.session is first.held
    first.client = replace(first.client, resumption=Resumption(lifetime=86400))
    first.server = replace(first.server, resumption=server_resumption("ticket", lifetime=86400))
    first.held = first.anew().connect().client.association.session
    end = first.held.session.not_after
    for _ in range(5):  # five hours, with a key an hour
        first.pass_time(3600)
        renewed = first.again()
        assert is_resumed(renewed)
        assert HandshakeType.NEW_SESSION_TICKET in plain_messages(renewed.sent)
        assert renewed.client.association.session.ticket != first.held.ticket
        assert renewed.client.association.session.session.not_after == end
        first.held = renewed.client.association.session


def test_what_a_configuration_says_about_sessions_is_checked():
    for lifetime in (0, -1, 86401):
        with pytest.raises(ConfigurationError, match="a session lasts at most 86400 seconds"):
            Resumption(lifetime=lifetime)
    for lifetime in (0.5, 86400):
        assert Resumption(lifetime=lifetime).lifetime == lifetime


# --- the wire -----------------------------------------------------------------------------------


@each_way
@each_kind
@pytest.mark.parametrize("number", range(5))
def test_any_datagram_may_be_lost(by, kind, number):
    pair = Meeting(by, kind).again(wire=lose(number))
    assert is_resumed(pair)


@each_way
def test_the_clients_last_flight_is_said_again_when_the_server_repeats_its_own(by):
    pair = Meeting(by).again(wire=lose(4, 6, 8)).connect()
    assert pair.client.counters["flights resent"] == 3
    assert pair.server.counters["flights resent"] == 3
    assert pair.works()
    assert pair.server.association.next_deadline() is None


@each_way
def test_repetitions_after_the_end_are_answered_by_the_client_alone(by):
    last = []
    pair = Meeting(by).again(wire=duplicate(4, delay=5.0)).connect()
    assert pair.server.counters["flights resent"] == pair.client.counters["flights resent"] == 0
    assert len(pair.sent) == 5, last
    assert pair.works()


@each_way
@pytest.mark.parametrize("wire", [reverse_flights(), delay({3}, 1.5), duplicate(*range(9), delay=0.3)])
def test_disorder_delay_and_duplicates_do_no_harm(by, wire):
    assert is_resumed(Meeting(by, "rsa", {"mtu_bytes": 200} if by == "id" else {}).again(wire=wire))


@each_way
@each_kind
@pytest.mark.parametrize("seed", range(20))
def test_a_third_of_all_datagrams_may_be_lost(by, kind, seed):
    pair = Meeting(by, kind).again(wire=lossy(0.33, seed))
    pair.start()
    pair.run()
    if pair.client.connected and pair.server.connected:
        pair.wire = lose()
        assert pair.works()
    assert all(side.connected is None or side.connected.resumed for side in (pair.client, pair.server))


def test_data_that_overtakes_the_clients_last_flight_is_not_taken_before_it():
    pair = Meeting().again(wire=delay({4}, 0.5))
    pair.start()
    pair.run(until=0.045)
    assert pair.client.connected
    assert not pair.server.connected
    pair.client.send(b"early")
    pair.drain(pair.client)
    pair.run(until=0.3)
    assert pair.server.received == []
    pair.run()
    assert pair.works()


@each_way
def test_a_server_that_hears_no_more_gives_up(by):
    pair = Meeting(by).again(wire=silence_after_hello())
    pair.start()
    pair.run()
    assert not pair.server.connected
    assert pair.server.closed


def silence_after_hello():
    silent = silence_from(False)
    return lambda sent: silent(sent) if sent.number > 3 else [(0.0, sent.data)]


@each_way
def test_a_ticket_that_would_not_fit_a_datagram_is_left_at_home(by):
    first = Meeting(by)
    pair = first.again(client=replace(first.client, mtu_bytes=300))
    assert is_resumed(pair) == (by == "id")
    if by == "ticket":
        assert "would not fit" in pair.client.traced("session declined")[0].data["why"]


def test_a_hello_fills_its_datagram_to_the_last_byte_before_the_ticket_is_left_at_home():
    first = Meeting("ticket")
    size = len(first.again().connect().sent[2].data)
    exact = first.again(client=replace(first.client, mtu_bytes=size))
    assert is_resumed(exact)
    assert len(exact.sent[2].data) == size
    assert not is_resumed(first.again(client=replace(first.client, mtu_bytes=size - 1)))


def test_a_client_that_has_no_session_names_none():
    """RFC 5246 section 7.4.1.2: the session ID is empty, whether it would take a session or not."""
    for pair in (Pair().connect(), Meeting("ticket").pair, Meeting("id").pair):
        assert pair.client.handshake._hello.session_id == b""


def test_a_ticket_in_its_last_second_has_a_lifetime_of_one():
    """RFC 5077 section 3.3: 0 would leave it open for how long the ticket is good."""
    first = Meeting("ticket")
    end = first.held.session.not_after
    lifetimes = [
        make_ticket(first.server.resumption, first.held.session, end - timedelta(seconds=left), bytes)
        for left in (0.5, 1, 2, 60.9)
    ]
    assert [message.lifetime_hint for message in lifetimes] == [1, 1, 2, 60]
