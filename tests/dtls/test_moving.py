"""Two engines with connection IDs, one of which moves: RFC 9146 and RFC 9853, from hello to close."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dtls_cases import KINDS, assert_refused, configs, run, say_protected, set_next_sequence
from dtls_pair import HOME, LATENCY, NOW, Pair, everything
from dtls_rogue import client_hello, rogue_client, rogue_server, server_hello, with_extension, without
from dtls_wires import lose

from twoway.dtls import AlertDescription, Association, PathChanged
from twoway.dtls.epochs import MAX_DATA_SEQUENCE
from twoway.dtls.messages.hello import ExtensionType
from twoway.dtls.paths import AMPLIFICATION_LIMIT, CHALLENGES
from twoway.dtls.record import DTLS_1_2, MAX_PLAINTEXT_BYTES, ContentType, encode_record
from twoway.dtls.return_routability import PathMessage, PathMessageType
from twoway.dtls.timers import Retransmission
from twoway.errors import CallerError, ConfigurationError

CAFE = "cafe"
TIMEOUT = 1.0
"""What a path is given to answer: RFC 9853 section 5.5."""
CHALLENGE, RESPONSE, DROP = PathMessageType


def pair_with(client: int | None, server: int | None, kind: str = "psk", **rogue) -> Pair:
    """A pair that wants IDs of so many bytes."""
    ours, theirs = configs(kind)
    return Pair(
        replace(ours, connection_id_bytes=client), replace(theirs, connection_id_bytes=server), **rogue
    )


def moved(kind: str = "psk", *, rrc: bool = True) -> Pair:
    """A connected pair whose client is shown at the café from here on."""
    rogue = {} if rrc else {"client_handshake": rogue_client(**client_hello(extensions=without(61)))}
    pair = pair_with(0, 8, kind, **rogue).connect()
    pair.rebind(CAFE)
    return pair


def recorded(pair: Pair, data: bytes, *, to_server: bool = True) -> bytes:
    """A datagram that somebody holds back."""
    side = pair.client if to_server else pair.server
    wire, pair.wire = pair.wire, lambda sent: []
    side.send(data)
    pair.drain(side)
    pair.wire = wire
    return pair.sent[-1].data


def path_of(pair: Pair) -> object:
    assert pair.server.association is not None
    return pair.server.association.path


def moves(pair: Pair) -> list[object]:
    return [event.path for event in pair.server.events if isinstance(event, PathChanged)]


def sent_to(pair: Pair, path: object, since: int = 0) -> int:
    """Bytes that the server sent to a place."""
    return sum(len(sent.data) for sent in pair.sent[since:] if not sent.to_server and sent.path == path)


# --- negotiation (RFC 9146 section 3) ---------------------------------------------------------------------


@pytest.mark.parametrize("client", range(21))
@pytest.mark.parametrize("server", [0, 1, 8, 19, 20])
def test_protected_records_carry_the_id_that_their_receiver_asked_for(client, server):
    for pair in (pair_with(client, server).connect(), pair_with(server, client).connect()):
        assert pair.works()
        for sent in pair.sent:
            receiver = (pair.server if sent.to_server else pair.client).association
            expected = receiver.connection_id
            for record in replace(sent, connection_id_bytes=len(expected)).records:
                if record.epoch == 0 or not expected:
                    assert record.connection_id == b""
                    assert record.type != ContentType.TLS12_CID
                else:
                    assert (record.type, record.connection_id) == (ContentType.TLS12_CID, expected)
        assert len(pair.client.association.connection_id) in (client, server)


@pytest.mark.parametrize("rrc", [True, False])
def test_a_trace_tells_which_ids_were_agreed_upon(rrc):
    pair = moved(rrc=rrc)
    connection_id = pair.server.association.connection_id.hex()
    agreed = {"ours": "", "peers": connection_id, "rrc": rrc}
    for side, ids in (
        (pair.client, agreed),
        (pair.server, {**agreed, "ours": connection_id, "peers": ""}),
    ):
        assert [event.data for event in side.traced("connection IDs agreed upon")] == [ids]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_handshake_can_have_ids(kind):
    pair = pair_with(4, 20, kind).connect()
    assert pair.works()
    pair.client.association.close()
    pair.run()
    assert pair.server.closed.alert is AlertDescription.CLOSE_NOTIFY


@pytest.mark.parametrize(("client", "server"), [(None, 4), (4, None), (None, None), (0, 0)])
def test_where_one_side_does_not_speak_or_want_them_there_are_none(client, server):
    pair = pair_with(client, server).connect()
    assert pair.works()
    assert all(record.type != ContentType.TLS12_CID for sent in pair.sent for record in sent.records)
    for side in (pair.client, pair.server):
        assert side.association.connection_id == b""


def test_the_caller_may_say_which_id_to_use():
    ours, theirs = configs("psk")
    config = replace(ours, connection_id_bytes=3)
    pair = Pair(config, replace(theirs, connection_id_bytes=0))
    pair.client.association = Association.client(
        config, entropy=pair.entropy, wall_clock=lambda: NOW, connection_id=b"abc", path=HOME
    )
    pair.connect()
    assert pair.client.association.connection_id == b"abc"
    assert pair.works()


def test_the_caller_of_a_server_may_say_which_id_to_use():
    ours, theirs = configs("psk")
    config = replace(theirs, connection_id_bytes=3)
    pair = Pair(replace(ours, connection_id_bytes=0), config)
    pair.wire = lambda sent: [] if sent.to_server and sent.number else [(0.0, sent.data)]
    pair.start()
    pair.run(until=0.1)
    accepted = pair.gate.receive_untrusted(pair.sent[-1].data, b"client", pair.now)
    pair.server.association = Association.server(
        config, accepted, entropy=pair.entropy, wall_clock=lambda: NOW, connection_id=b"abc", path=HOME
    )
    pair.server.association.start(pair.now)
    pair.wire = everything
    pair.run()
    assert pair.server.association.connection_id == b"abc"
    assert pair.works()
    assert pair.sent[-2].data[11:14] == b"abc", "the client writes it into its records"


@pytest.mark.parametrize(("size", "given"), [(3, b"ab"), (3, b"abcd"), (0, b"a"), (None, b"a"), (None, b"")])
def test_an_id_of_another_length_than_configured_is_the_callers_error(size, given):
    config = replace(configs("psk")[0], connection_id_bytes=size)
    with pytest.raises(CallerError, match="connection ID"):
        Association.client(config, entropy=bytes, wall_clock=lambda: NOW, connection_id=given)


@pytest.mark.parametrize("size", [-1, 21])
def test_a_length_out_of_bounds_is_a_fault_of_the_configuration(size):
    with pytest.raises(ConfigurationError, match="at most 20"):
        replace(configs("psk")[0], connection_id_bytes=size)


@pytest.mark.parametrize("data", [b"", b"\x02a", b"\x00a"])
def test_a_malformed_extension_is_refused(data):
    change = with_extension(ExtensionType.CONNECTION_ID, data)
    bad = AlertDescription.DECODE_ERROR
    pair = pair_with(4, 4, client_handshake=rogue_client(**client_hello(extensions=change)))
    assert_refused(run(pair), by="server", alert=bad, why="connection_id")
    pair = pair_with(4, 4, server_handshake=rogue_server(server_hello(extensions=change)))
    assert_refused(run(pair), by="client", alert=bad, why="connection_id")


def test_an_rrc_extension_with_data_is_refused():
    change = with_extension(ExtensionType.RRC, b"\x00")
    bad = AlertDescription.DECODE_ERROR
    pair = pair_with(4, 4, client_handshake=rogue_client(**client_hello(extensions=change)))
    assert_refused(run(pair), by="server", alert=bad, why="rrc")
    pair = pair_with(4, 4, server_handshake=rogue_server(server_hello(extensions=change)))
    assert_refused(run(pair), by="client", alert=bad, why="rrc")


@pytest.mark.parametrize("extension", [ExtensionType.CONNECTION_ID, ExtensionType.RRC])
def test_an_answer_that_was_not_asked_for_is_refused(extension):
    change = with_extension(extension, b"")
    pair = pair_with(None, 4, server_handshake=rogue_server(server_hello(extensions=change)))
    alert = AlertDescription.UNSUPPORTED_EXTENSION
    assert_refused(run(pair), by="client", alert=alert, why="not offered")


@pytest.mark.parametrize(("client", "server"), [(4, 4), (None, 4), (4, None)])
def test_the_check_is_answered_only_together_with_an_id(client, server):
    """RFC 9853 section 3: a server must not answer rrc where connection_id was not offered."""
    change = with_extension(ExtensionType.RRC, b"")
    pair = pair_with(client, server, client_handshake=rogue_client(**client_hello(extensions=change)))
    pair.connect()
    is_agreed = client is not None and server is not None
    assert pair.server.association._agreement.checks_paths is is_agreed
    assert pair.client.association._agreement.checks_paths is is_agreed


def test_an_id_too_long_for_our_datagrams_is_refused_in_plain_words():
    for size, fits in ((60, True), (255, False)):
        change = with_extension(ExtensionType.CONNECTION_ID, bytes([size]) + bytes(size))
        ours, theirs = configs("psk", mtu_bytes=200)
        pair = Pair(
            replace(ours, connection_id_bytes=0),
            replace(theirs, connection_id_bytes=8),
            server_handshake=rogue_server(server_hello(extensions=change)),
        )
        run(pair)
        if not fits:
            assert "the MTU is 200 bytes" in pair.client.closed.reason
            assert "with 255 bytes of connection ID" in pair.client.closed.reason
        else:
            flight = [sent for sent in pair.sent if sent.to_server][-1]
            assert len(flight.data) <= 200
            assert size in [
                len(record.connection_id) for record in replace(flight, connection_id_bytes=size).records
            ]


# --- the form of a record (RFC 9146 section 3) ------------------------------------------------------------


@pytest.mark.parametrize("to_server", [True, False])
def test_a_record_without_the_id_agreed_upon_is_dropped(to_server):
    pair = pair_with(4, 4).connect()
    sender, receiver = (pair.client, pair.server) if to_server else (pair.server, pair.client)
    epoch = sender.association._sender._epochs[1]
    epoch._connection_id, right = b"", epoch._connection_id
    sender.send(b"in the old form")
    pair.run()
    assert receiver.counters["dropped: wrong connection ID"] == 1
    epoch._connection_id = right
    assert pair.works()


@pytest.mark.parametrize("to_server", [True, False])
def test_a_record_with_an_id_where_none_is_agreed_upon_is_dropped(to_server):
    for pair in (pair_with(0, 0).connect(), pair_with(None, None).connect()):
        sender, receiver = (pair.client, pair.server) if to_server else (pair.server, pair.client)
        epoch = sender.association._sender._epochs[1]
        epoch._connection_id = b"abcd"
        sender.send(b"in the new form")
        pair.run()
        assert receiver.counters["dropped: malformed record"] == 1
        epoch._connection_id = b""
        assert pair.works()


def test_a_record_with_an_id_that_was_offered_and_not_taken_is_dropped():
    """The client would know the length of an ID that nobody has agreed to write."""
    pair = pair_with(4, None).connect()
    pair.server.association._sender._epochs[1]._connection_id = b"abcd"
    pair.server.send(b"in the new form")
    pair.run()
    assert pair.client.counters["dropped: wrong connection ID"] == 1
    assert pair.client.received == []


def test_a_record_with_the_id_of_another_association_is_dropped():
    pair, other = pair_with(0, 8).connect(), pair_with(0, 8, seed=2).connect()
    pair.deliver(recorded(other, b"for another"), to_server=True, path=CAFE)
    assert pair.server.counters["dropped: wrong connection ID"] == 1
    assert path_of(pair) == HOME
    assert pair.works()


def test_an_unprotected_record_with_an_id_is_dropped_in_every_state():
    for number in range(8):
        pair = pair_with(4, 4)
        forged = encode_record(25, DTLS_1_2, 0, 50, b"\x01\x00\x15", b"abcd")
        pair.wire = lambda sent, n=number, pair=pair, forged=forged: [
            (0.0, sent.data),
            *([(0.0, forged)] if sent.number == n else []),
        ]
        pair.connect()
        assert pair.works()


def test_data_is_a_byte_shorter_beside_its_type():
    pair = pair_with(0, 4).connect()
    pair.client.send(bytes(MAX_PLAINTEXT_BYTES - 1))
    with pytest.raises(CallerError, match="16383"):
        pair.client.send(bytes(MAX_PLAINTEXT_BYTES))
    pair.server.send(bytes(MAX_PLAINTEXT_BYTES))
    pair.run()
    assert pair.server.received == [bytes(MAX_PLAINTEXT_BYTES - 1)]
    assert pair.client.received == [bytes(MAX_PLAINTEXT_BYTES)]


def test_the_type_inside_counts_towards_the_limit_that_the_peer_announced():
    pair = Pair(
        replace(configs("psk")[0], connection_id_bytes=0, record_size_limit=200),
        replace(configs("psk")[1], connection_id_bytes=4, record_size_limit=100),
    ).connect()
    pair.client.send(bytes(99))
    with pytest.raises(CallerError, match="99 bytes, not 100"):
        pair.client.send(bytes(100))
    pair.server.send(bytes(200))
    pair.run()
    assert (pair.server.received, pair.client.received) == ([bytes(99)], [bytes(200)])


# --- a peer that moves (RFC 9146 section 6, RFC 9853 section 5) -------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_peer_whose_address_changes_is_checked_and_followed(kind):
    pair = moved(kind)
    pair.client.send(b"from the cafe")
    pair.run(until=pair.now + TIMEOUT - 0.01)
    assert (path_of(pair), moves(pair)) == (HOME, []), "the old path is asked first, and is silent"
    assert pair.server.received == [b"from the cafe"]
    pair.run()
    assert (path_of(pair), moves(pair)) == (CAFE, [CAFE])
    assert pair.works()
    assert pair.server.counters["paths validated"] == 1
    assert pair.server.counters["path messages sent: path_challenge"] == CHALLENGES + 1
    assert pair.client.counters["path messages sent: path_response"] == 1


@pytest.mark.parametrize("rrc", [True, False])
def test_whoever_chose_a_path_before_the_handshake_checks_others_if_that_was_agreed_upon(rrc):
    rogue = {} if rrc else {"client_handshake": rogue_client(**client_hello(extensions=without(61)))}
    pair = pair_with(4, 4, **rogue)
    pair.client.association.use_path(HOME)
    pair.connect()
    assert pair.client.association._paths.is_checked is rrc


def test_a_trace_tells_how_a_peer_was_followed():
    pair = moved()
    pair.client.send(b"from the cafe")
    pair.run()
    steps = [(event.name, event.data) for event in pair.server.trace if "path" in event.data]
    to_home = {"type": "path_challenge", "path": HOME}
    assert steps == [
        ("paths seen", {"path": CAFE}),
        *[("path message sent", to_home)] * CHALLENGES,
        ("path message sent", {"type": "path_challenge", "path": CAFE}),
        ("paths validated", {"path": CAFE}),
        ("path changed", {"path": CAFE}),
    ]


def test_what_a_peer_asks_is_answered_before_its_new_path_is_validated():
    """Within the limit; or else each move would cost a retransmission of the application's."""
    pair = moved()
    pair.client.send(bytes(100))
    pair.run(until=pair.now + 0.02)
    pair.server.send(b"answer")
    pair.run(until=pair.now + 0.02)
    assert path_of(pair) == HOME
    assert pair.client.received == [b"answer"]


def test_data_that_goes_by_both_paths_is_delivered_once():
    pair = pair_with(0, 8).connect()
    pair.interfaces.add(CAFE)
    pair.deliver(recorded(pair, bytes(100)), to_server=True, path=CAFE)
    pair.server.send(b"once")
    pair.drain(pair.server)
    assert [sent.path for sent in pair.sent[-2:]] == [HOME, CAFE]
    pair.run(until=pair.now + 0.05)
    assert pair.client.received == [b"once"]
    assert pair.client.counters["dropped: replayed"] == 1


def test_what_was_sent_before_a_move_still_goes_by_the_path_that_was_left():
    association = pair_with(0, 8).connect().client.association
    association.send(b"before")
    association.use_path("lte")
    association.send(b"after")
    assert [path for _, path in association.routed_datagrams_to_send()] == [HOME, "lte"]
    assert association.routed_datagrams_to_send() == []
    association.send(b"plain")
    assert len(association.datagrams_to_send()) == 1
    association.send(b"routed")
    assert [path for _, path in association.routed_datagrams_to_send()] == ["lte"]


def test_whoever_does_not_move_keeps_no_paths():
    pair = pair_with(8, 8).connect()
    assert pair.works()
    assert pair.client.association._paths is pair.server.association._paths is None


def test_a_peer_that_moved_by_itself_says_so_and_is_followed_at_once():
    pair = pair_with(0, 8).connect()
    pair.interfaces.add("lte")
    pair.client.association.use_path("lte")
    pair.client.send(b"by another interface")
    pair.run(until=pair.now + 5 * 0.01)
    assert (path_of(pair), moves(pair)) == ("lte", ["lte"])
    assert pair.client.counters["path messages sent: path_drop"] == 1
    assert pair.client.association.path == "lte"
    assert pair.works()


def test_both_sides_may_check_each_other():
    pair = pair_with(8, 8).connect()
    elsewhere = recorded(pair, b"from elsewhere", to_server=False)
    pair.client.association.receive_datagram(elsewhere, pair.now, "server-2")
    pair.drain(pair.client)
    assert pair.client.counters["path messages sent: path_challenge"] == 1
    assert pair.client.association.path == HOME
    pair.run()
    assert pair.client.counters["paths kept: the peer answered on the old one"] == 1


@pytest.mark.parametrize("lost", range(CHALLENGES))
@pytest.mark.parametrize("to_server", [False, True])
def test_lost_challenges_and_answers_are_made_up_for(lost, to_server):
    """Each question to the new path is asked up to three times; one answer that comes through is enough."""
    pair = moved()
    left = [lost]

    def wire(sent):
        if sent.path == CAFE and sent.to_server is to_server and sent.number > base + 1 and left[0]:
            left[0] -= 1
            return []
        return [(0.0, sent.data)]

    base = len(pair.sent)
    pair.wire = wire
    pair.client.send(bytes(200))
    pair.run()
    assert left == [0]
    assert moves(pair) == [CAFE]
    assert pair.works()


def test_a_path_that_never_answers_is_given_up_and_the_old_one_stays():
    pair = moved()
    pair.wire = lambda sent: [(0.0, sent.data)] if sent.to_server else []
    pair.client.send(bytes(200))
    pair.run()
    assert pair.server.counters["paths not validated in time"] == 1
    assert (path_of(pair), moves(pair)) == (HOME, [])
    assert pair.now == pytest.approx(0.07 + 2 * TIMEOUT, abs=0.1)
    pair.wire = everything
    pair.client.send(b"I am still here")
    pair.run()
    assert moves(pair) == [CAFE]


@pytest.mark.parametrize(
    ("rule", "timeout"),
    [
        (Retransmission(initial=2.0), 2.0),
        (Retransmission(initial=2.0, floor=0.01), 3 * 2 * LATENCY),
        (Retransmission(initial=2.0, floor=0.5), 0.5),
    ],
)
def test_a_path_has_three_round_trips_to_answer_where_they_were_measured(rule, timeout):
    """RFC 9853 section 5.5, and never less than the configuration thinks sensible for this link."""
    ours, theirs = configs("psk", retransmission=rule)
    pair = Pair(replace(ours, connection_id_bytes=0), replace(theirs, connection_id_bytes=8)).connect()
    pair.rebind(CAFE)
    began = pair.now
    pair.client.send(b"from the cafe")
    pair.run()
    assert moves(pair) == [CAFE]
    assert pair.now - began == pytest.approx(timeout + 3 * LATENCY, rel=0.05)


def test_a_peer_may_move_again_and_again():
    pair = pair_with(4, 8).connect()
    for place in ("cafe", "train", "office", HOME):
        pair.rebind(place)
        pair.client.send(b"here now")
        pair.run()
        assert path_of(pair) == place
        assert pair.works()


def test_a_peer_that_moves_during_its_handshake_is_followed_after_it():
    """Finished from elsewhere completes the handshake; nobody was known before, whom to follow."""
    pair = pair_with(0, 8)
    pair.wire = lambda sent: [] if sent.to_server and sent.records[-1].epoch else [(0.0, sent.data)]
    pair.start()
    pair.run(until=0.5)
    pair.wire = everything
    pair.rebind(CAFE)
    pair.deliver(next(sent.data for sent in pair.sent if sent.records[-1].epoch), to_server=True, path=CAFE)
    assert pair.server.connected
    assert (path_of(pair), pair.server.counters["paths seen"]) == (HOME, 0)
    pair.run()
    assert path_of(pair) == CAFE
    assert pair.works()


# --- somebody sends records on (RFC 9146 section 9, RFC 9853 section 8) -----------------------------------


def test_a_replayed_record_from_elsewhere_changes_nothing():
    pair = pair_with(0, 8).connect()
    pair.client.send(b"seen")
    pair.run()
    before = len(pair.sent)
    pair.deliver(pair.sent[-1].data, to_server=True, path="attacker")
    pair.run()
    assert pair.server.counters["dropped: replayed"] == 1
    assert (path_of(pair), len(pair.sent)) == (HOME, before)


def test_an_older_record_from_elsewhere_is_delivered_and_changes_nothing():
    pair = pair_with(0, 8).connect()
    late = recorded(pair, b"late")
    pair.client.send(b"newer")
    pair.run()
    before = len(pair.sent)
    pair.deliver(late, to_server=True, path="attacker")
    pair.run()
    assert pair.server.received == [b"newer", b"late"]
    assert (path_of(pair), len(pair.sent)) == (HOME, before)


def test_a_forged_record_from_elsewhere_changes_nothing():
    pair = pair_with(0, 8).connect()
    genuine = recorded(pair, b"data")
    before = len(pair.sent)
    pair.deliver(genuine[:-1] + bytes([genuine[-1] ^ 1]), to_server=True, path="attacker")
    pair.run()
    assert pair.server.counters["dropped: not authentic"] == 1
    assert (path_of(pair), len(pair.sent)) == (HOME, before)


@pytest.mark.parametrize("sizes", [(None, None), (8, 0)])
def test_a_record_without_an_id_from_elsewhere_moves_nothing(sizes):
    """RFC 9146 section 6 is about records with an ID. The second server writes one and wants none."""
    pair = pair_with(*sizes).connect()
    pair.deliver(recorded(pair, b"raced"), to_server=True, path="attacker")
    pair.run()
    assert pair.server.received == [b"raced"]
    assert (path_of(pair), pair.server.counters["paths seen"]) == (HOME, 0)


def test_whoever_forwards_a_record_faster_than_the_network_gains_nothing():
    """The enhanced check: the peer answers by the old path, and nothing has changed."""
    pair = pair_with(0, 8).connect()
    pair.deliver(recorded(pair, b"raced"), to_server=True, path="attacker")
    pair.server.send(b"answer")
    pair.run()
    assert pair.server.received == [b"raced"]
    assert pair.client.received == [b"answer"], "it goes by the old path in any case"
    assert (path_of(pair), moves(pair)) == (HOME, [])
    assert pair.server.counters["paths kept: the peer answered on the old one"] == 1


def test_a_check_of_a_forwarded_record_ends_with_the_peers_next_one():
    pair = pair_with(0, 8).connect()
    pair.wire = lambda sent: [(0.0, sent.data)] if sent.to_server else []
    pair.deliver(recorded(pair, b"raced"), to_server=True, path="attacker")
    pair.client.send(b"still at home")
    pair.run()
    assert pair.server.counters["paths kept: the peer spoke by the old one"] == 1
    assert moves(pair) == []


@pytest.mark.parametrize("rrc", [True, False])
def test_a_victim_gets_at_most_three_times_what_was_sent_in_its_name(rrc):
    """Counted in bytes of datagrams, whatever the server has to say and however long it tries."""
    pair = moved(rrc=rrc)
    received = 0
    for size in (1, 40, 300):
        datagram = recorded(pair, bytes(size))
        received += len(datagram)
        pair.deliver(datagram, to_server=True, path="victim")
        for answer in (1000, 100, 30, 0, 10):
            for _ in range(20):
                pair.server.send(bytes(answer))
        pair.run(until=pair.now + 0.7)
        assert 0 < sent_to(pair, "victim") <= AMPLIFICATION_LIMIT * received
    pair.run()
    assert sent_to(pair, "victim") <= AMPLIFICATION_LIMIT * received
    assert path_of(pair) == (HOME if rrc else "victim")


def test_what_the_limit_holds_back_goes_by_the_path_that_was_validated():
    pair = pair_with(0, 8).connect()
    pair.deliver(recorded(pair, b"x"), to_server=True, path="victim")
    pair.server.send(bytes(1000))
    pair.run()
    assert pair.client.received == [bytes(1000)]


def test_without_the_check_the_peer_is_followed_at_once_within_the_limit():
    pair = moved(rrc=False)
    pair.client.send(bytes(100))
    pair.run()
    assert moves(pair) == [CAFE]
    pair.server.send(b"short")
    pair.server.send(bytes(1000))
    pair.run()
    assert pair.client.received == [b"short"], "the rest went by the old path, where nobody is"
    for _ in range(4):
        pair.client.send(bytes(100))
    pair.run()
    pair.server.send(bytes(1000))
    pair.run()
    assert pair.client.received == [b"short", bytes(1000)]


# --- messages of the check that do not belong -------------------------------------------------------------


def test_a_message_of_the_check_is_unknown_where_it_was_not_agreed_upon():
    for pair in (moved(rrc=False), pair_with(None, None).connect(), pair_with(8, None).connect()):
        say_protected(pair.client, 27, PathMessage(CHALLENGE, bytes(8)).encode())
        pair.run()
        assert pair.server.counters["dropped: unknown content type"] == 1
        assert pair.server.counters["path messages sent: path_response"] == 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "unknown"),
        (b"\x03" + bytes(8), "unknown"),
        (b"\xff" * 40, "unknown"),
        (b"\x00", "malformed"),
        (b"\x01" * 8, "malformed"),
        (b"\x02" * 10, "malformed"),
    ],
)
def test_a_malformed_or_unknown_message_is_dropped_and_the_association_goes_on(data, why):
    pair = pair_with(8, 8).connect()
    say_protected(pair.client, 27, data)
    pair.run()
    assert pair.server.counters[f"dropped: {why} path message"] == 1
    assert pair.server.counters["path messages sent: path_response"] == 0
    assert pair.works()


def test_an_unprotected_message_of_the_check_is_dropped():
    pair = pair_with(8, 8).connect()
    message = PathMessage(CHALLENGE, bytes(8)).encode()
    pair.deliver(encode_record(27, DTLS_1_2, 0, 99, message), to_server=True)
    assert pair.server.counters["dropped: path message out of place"] == 1


def test_a_challenge_before_finished_is_dropped():
    """Its keys are right, and nobody has been authenticated yet."""
    pair = pair_with(8, 8)
    pair.wire = lose(5)
    pair.start()
    pair.run(until=0.1)
    assert pair.server.connected
    assert not pair.client.connected
    say_protected(pair.server, 27, PathMessage(CHALLENGE, bytes(8)).encode())
    change = encode_record(ContentType.CHANGE_CIPHER_SPEC, DTLS_1_2, 0, 80, b"\x01")
    pair.deliver(change, to_server=False)
    pair.drain(pair.server)
    pair.run(until=0.2)
    assert pair.client.counters["dropped: path message out of place"] == 1
    assert pair.client.counters["path messages sent: path_response"] == 0
    pair.run()
    assert pair.works()


def test_an_answer_that_nobody_asked_for_is_counted():
    pair = pair_with(8, 8).connect()
    for kind in (RESPONSE, DROP):
        say_protected(pair.client, 27, PathMessage(kind, bytes(8)).encode())
    pair.run()
    assert pair.server.counters["path answers that nobody asked for"] == 2
    assert pair.works()


def test_challenges_do_not_use_up_the_last_sequence_numbers():
    pair = pair_with(8, 8).connect()
    set_next_sequence(pair.server, MAX_DATA_SEQUENCE + 1)
    say_protected(pair.client, 27, PathMessage(CHALLENGE, bytes(8)).encode())
    pair.run()
    assert pair.server.counters["path messages sent: path_response"] == 0
    pair.server.association.close()
    pair.run()
    assert pair.client.closed


def test_after_the_end_nobody_is_asked():
    pair = moved()
    pair.client.send(b"x")
    pair.run(until=pair.now + 0.02)
    pair.server.association.close()
    pair.drain(pair.server)
    assert pair.server.association.next_deadline() is None
    pair.server.association.handle_timer(pair.now + 10)
    assert pair.server.association.datagrams_to_send() == []
