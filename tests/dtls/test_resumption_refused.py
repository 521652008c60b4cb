"""Sessions that must not be resumed: each rule by itself, forged and stolen names, peers that break a rule.

What is wrong with a session costs its client a full handshake and nothing else, unless the RFC wants an end.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from dtls_cases import assert_never_connected, assert_refused, protections, run, say_protected
from dtls_pair import PSK, PSK_NAME, Pair, certificate_of, client_config, psk_client_config, server_config
from dtls_rogue import (
    changed,
    client_hello,
    missing,
    rogue_client,
    rogue_server,
    server_hello,
    with_extension,
    without,
)
from dtls_wires import damage
from dtls_worlds import raw_key_configs
from resuming import WAYS, Meeting, is_resumed, server_resumption
from small_pki import NOW, small_pki

from twoway.dtls import (
    AcceptedHello,
    AlertDescription,
    AlertLevel,
    HandshakeKind,
    HelloVerify,
    Legacy2013Profile,
    RawKeyCredential,
    Resumption,
    SessionTickets,
    suites,
)
from twoway.dtls.cbc import EncryptThenMAC, MACThenEncrypt
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.messages.hello import ExtensionType
from twoway.dtls.messages.tickets import NewSessionTicket
from twoway.dtls.record import ContentType
from twoway.dtls.session import HeldSession
from twoway.pki import TrustStore

each_way = pytest.mark.parametrize("by", WAYS)
LATER = NOW + timedelta(days=1)


def believing(held: HeldSession, **changes: object) -> HeldSession:
    """The session of a client that believes something else about it, so that the server has to see."""
    return replace(held, session=replace(held.session, **changes))


def declined(side) -> str:
    """Why a session was not resumed."""
    (event,) = side.traced("session declined")
    assert side.counters["sessions declined"] == 1
    return event.data["why"]


def assert_full_because(pair: Pair, why: str, *, by: str = "server") -> None:
    assert not is_resumed(pair)
    assert why in declined(pair.server if by == "server" else pair.client)


# --- the server judges ------------------------------------------------------------------------------


def test_a_ticket_is_not_taken_after_its_session_ended():
    first = Meeting("ticket")
    first.pass_time(3600)
    assert_full_because(first.again(held=believing(first.held, not_after=LATER)), "has ended")


def test_an_id_is_not_taken_after_its_session_ended():
    first = Meeting("id")
    first.pass_time(3600)
    assert_full_because(first.again(held=believing(first.held, not_after=LATER)), "not known")


@each_way
def test_the_callers_deadline_is_asked_for_again(by):
    first = Meeting(by)
    for deadline in (lambda peer: NOW, lambda peer: 1 / 0):
        resumption = replace(first.server.resumption, deadline=deadline)
        pair = first.again(server=replace(first.server, resumption=resumption))
        assert not is_resumed(pair)
        assert "deadline" in (why := pair.server.traced("session declined")[0].data["why"]) or "ended" in why
        assert pair.server.counters["sessions declined"] == 2, "the one that was named, and a new one"


@each_way
def test_the_callers_deadline_is_asked_about_the_identity_that_was_proved(by):
    asked = []
    first = Meeting(by)
    deadline = replace(first.server.resumption, deadline=asked.append)
    first.server = replace(first.server, resumption=deadline)
    first.held = first.anew().connect().client.association.session
    assert asked == [small_pki().subscriber.identity], "when the session begins"
    assert is_resumed(first.again())
    assert asked == [small_pki().subscriber.identity] * 2, "and when it is to be resumed"


@each_way
@pytest.mark.parametrize("answer", [lambda peer: True, lambda peer: 1 / 0], ids=["revoked", "raises"])
def test_a_peer_that_was_revoked_since_does_not_come_in_by_its_session(by, answer):
    first = Meeting(by)
    pair = run(first.again(server=replace(first.server, is_revoked=answer)))
    assert "revoked" in declined(pair.server)
    assert_refused(pair, by="server", alert=AlertDescription.CERTIFICATE_REVOKED, why="revoked")


@each_way
def test_revocation_is_asked_with_the_identity_that_was_proved(by):
    asked = []
    first = Meeting(by)
    pair = first.again(server=replace(first.server, is_revoked=lambda peer: bool(asked.append(peer))))
    assert is_resumed(pair)
    assert asked == [small_pki().subscriber.identity]


@each_way
def test_a_suite_that_the_server_no_longer_speaks_is_not_resumed(by):
    first = Meeting(by)
    server = replace(first.server, suites=(suites.ECDHE_ECDSA_AES_128_CCM,))
    assert_full_because(first.again(server=server), "suite is not spoken")


@each_way
def test_a_suite_that_the_client_does_not_offer_is_not_resumed(by):
    first = Meeting(by)
    hello = client_hello(suites=(suites.ECDHE_ECDSA_AES_128_CCM.code,))
    assert_full_because(first.again(client_handshake=rogue_client(**hello)), "suite is not offered")


@each_way
def test_a_kind_of_handshake_that_is_no_longer_admitted_is_not_resumed(by):
    first = Meeting(by, changes={"admit": frozenset(HandshakeKind)})
    nobody = replace(first.client, certificate=None)
    held = first.anew(client=nobody).connect().client.association.session
    strict = replace(first.server, admit=frozenset({HandshakeKind.FULL}))
    pair = run(first.again(client=nobody, server=strict, held=held))
    assert "kind" in declined(pair.server)
    assert_refused(pair, by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="no certificate")


def other_trust():
    pki = small_pki()
    return TrustStore([pki.ca.root, pki.other_ca.root])


@each_way
@pytest.mark.parametrize(
    "change",
    [
        {"trust": other_trust()},
        {"certificate": certificate_of(small_pki().ac)},
        {"raw_key": RawKeyCredential.of(small_pki().ac.private_key)},
        {"raw_key_pins": frozenset({bytes(32)})},
    ],
    ids=["trust", "certificate", "raw key", "pins"],
)
def test_an_endpoint_that_trusts_others_or_is_another_does_not_take_the_session(by, change):
    first = Meeting(by)
    server = replace(first.server, **change)
    assert_full_because(first.again(server=server), "other credentials or trust")
    client = (
        replace(first.client, **change)
        if "certificate" not in change
        else client_config(small_pki().ac, resumption=first.client.resumption)
    )
    assert_full_because(first.again(client=client), "other credentials or trust", by="client")


@each_way
def test_a_pre_shared_key_that_was_changed_or_taken_back_ends_its_sessions(by):
    first = Meeting(by, "psk")
    new = bytes(range(1, 17))
    server = replace(first.server, psk_lookup={PSK_NAME: new}.get)
    pair = run(first.again(server=server))
    assert "other credentials" in declined(pair.server)
    assert not pair.server.connected
    pair = run(first.again(server=replace(first.server, psk_lookup=lambda name: None)))
    assert "not known any more" in declined(pair.server)
    assert not pair.server.connected
    client = replace(psk_client_config(key=new), resumption=first.client.resumption)
    assert_full_because(first.again(client=client, server=server), "other credentials", by="client")
    client = replace(psk_client_config(name=b"other"), resumption=first.client.resumption)
    server = replace(first.server, psk_lookup=lambda name: PSK)
    assert_full_because(first.again(client=client, server=server), "not known any more", by="client")


def test_a_raw_key_that_the_lookup_does_not_know_any_more_ends_its_sessions():
    believed = [True]
    client, server = raw_key_configs()
    client = replace(client, resumption=Resumption())
    server = replace(
        server,
        raw_key_pins=frozenset(),
        raw_key_lookup=lambda peer: believed[0],
        resumption=server_resumption("ticket"),
    )
    first = Pair(client, server, wall_clock=lambda: NOW).connect()
    held = first.client.association.session
    assert Pair(client, server, wall_clock=lambda: NOW, session=held).connect().server.connected.resumed
    believed[0] = False
    pair = run(Pair(client, server, wall_clock=lambda: NOW, session=held))
    assert "not pinned any more" in declined(pair.server)
    assert not pair.server.connected


def test_a_clients_session_is_none_of_a_servers():
    """A party that is client here and server there: its roles do not share sessions."""
    sink = small_pki().sink
    first = Meeting()
    client = client_config(sink, resumption=first.client.resumption)
    server = server_config(sink, resumption=server_resumption("either"))
    pair = first.anew(client=client, server=server).connect()
    ours_as_client = pair.client.association.session.session
    ticket = server.resumption.tickets.issue(ours_as_client, at=NOW, entropy=bytes)
    held = HeldSession(ours_as_client, ticket=ticket)
    pair = first.again(client=client, server=server, held=held)
    assert_full_because(pair, "other credentials or trust")


def legacy(meeting: Meeting, **changes: object) -> None:
    """Have a meeting anew in the legacy world."""
    fields = {"suites": suites.LEGACY_2013_SUITES, **changes}
    client, server = meeting.client, meeting.server
    meeting.client, meeting.server = (
        Legacy2013Profile(
            certificate=config.certificate, trust=config.trust, resumption=config.resumption, **fields
        )
        for config in (client, server)
    )


@each_way
def test_encrypt_then_mac_is_resumed_as_it_was_negotiated(by):
    first = Meeting(by)
    legacy(first)
    with_it = first.anew().connect().client.association.session
    assert with_it.session.encrypt_then_mac
    resumed = first.again(held=with_it)
    assert is_resumed(resumed)
    assert protections(resumed) == {EncryptThenMAC}, "it protects the records again"
    bare = rogue_client(**client_hello(extensions=without(ExtensionType.ENCRYPT_THEN_MAC)))
    pair = first.anew(client_handshake=bare).connect()
    without_it = pair.client.association.session
    assert not without_it.session.encrypt_then_mac
    resumed = first.again(held=without_it, client_handshake=bare)
    assert is_resumed(resumed)
    assert protections(resumed) == {MACThenEncrypt}
    assert_full_because(first.again(held=without_it), "encrypt-then-MAC is offered otherwise")
    assert_full_because(
        first.again(held=with_it, client_handshake=bare), "encrypt-then-MAC is offered otherwise"
    )


@each_way
def test_a_session_without_encrypt_then_mac_is_resumed_by_a_legacy_profile_alone(by):
    first = Meeting(by, "psk")
    cbc = suites.ECDHE_PSK_AES_128_CBC_SHA256
    modern = replace(first.server, suites=(cbc, *first.server.suites))
    server = Legacy2013Profile(
        psk_lookup=modern.psk_lookup, resumption=modern.resumption, suites=modern.suites
    )
    client = Legacy2013Profile(psk=first.client.psk, resumption=first.client.resumption, suites=(cbc,))
    bare = rogue_client(**client_hello(extensions=without(ExtensionType.ENCRYPT_THEN_MAC)))
    pair = first.anew(client=client, server=server, client_handshake=bare).connect()
    held = pair.client.association.session
    assert is_resumed(first.again(client=client, server=server, held=held, client_handshake=bare))
    pair = run(first.again(client=client, server=modern, held=held, client_handshake=bare))
    assert "lacks encrypt-then-MAC" in declined(pair.server)
    assert not pair.server.connected


@each_way
def test_a_client_that_wants_other_record_lengths_does_not_offer_the_session(by):
    first = Meeting(by, changes={"max_fragment_length": 512})
    client = replace(first.client, max_fragment_length=1024)
    assert_full_because(first.again(client=client), "other credentials", by="client")


@each_way
def test_a_hello_without_the_sessions_extended_master_secret_ends_the_handshake(by):
    first = Meeting(by, changes={"unsafe_allow_missing_extended_master_secret": True})
    bare = rogue_client(**client_hello(extensions=without(ExtensionType.EXTENDED_MASTER_SECRET)))
    pair = run(first.again(client_handshake=bare))
    assert_refused(pair, by="server", alert=AlertDescription.HANDSHAKE_FAILURE, why="extended master secret")


@each_way
def test_a_handshake_without_the_extended_master_secret_leaves_no_session(by):
    first = Meeting(by, changes={"unsafe_allow_missing_extended_master_secret": True})
    bare = rogue_client(**client_hello(extensions=without(ExtensionType.EXTENDED_MASTER_SECRET)))
    pair = first.anew(client_handshake=bare).connect()
    assert pair.client.association.session is None
    assert pair.server.association._held is None


# --- names that are forged, stolen or old -----------------------------------------------------------


def test_a_damaged_ticket_costs_a_full_handshake():
    first = Meeting("ticket")
    ticket = first.held.ticket
    for forged in (
        ticket[:-1],
        ticket[:21],
        b"\x00",
        bytes([*ticket[:-1], ticket[-1] ^ 1]),
        bytes(len(ticket)),
    ):
        assert_full_because(first.again(held=replace(first.held, ticket=forged)), "ticket")


def test_a_ticket_of_an_old_key_or_another_secret_costs_a_full_handshake():
    first = Meeting("ticket", changes={})
    other = replace(first.server.resumption, tickets=SessionTickets(bytes(32), since=NOW))
    assert_full_because(first.again(server=replace(first.server, resumption=other)), "not authentic")
    first.pass_time(2 * 3600)
    assert_full_because(first.again(held=believing(first.held, not_after=LATER)), "not in use")


def test_an_unknown_session_id_costs_a_full_handshake():
    first = Meeting("id")
    assert_full_because(first.again(held=replace(first.held, session_id=bytes(32))), "not known")


@each_way
def test_whoever_names_the_session_of_another_is_not_let_in(by):
    first, other = Meeting(by), Meeting(by, seed=50)
    mine = other.held.session
    thief = first.again(held=replace(first.held, session=replace(mine, context=first.held.session.context)))
    run(thief)
    assert_never_connected(thief)
    assert thief.server.closed
    assert is_resumed(first.again()), "and the other one's session is as good as before"


@each_way
def test_beside_a_ticket_the_session_id_names_nothing(by):
    """RFC 5077 section 3.4."""
    first = Meeting("either")
    client = rogue_client(**client_hello(extensions=without(ExtensionType.SESSION_TICKET)))
    pair = first.anew(client_handshake=client).connect()
    by_id = pair.client.association.session
    assert by_id.session_id
    if by == "ticket":
        hello = client_hello(extensions=with_extension(ExtensionType.SESSION_TICKET, b"damaged"))
        pair = first.again(held=by_id, client_handshake=rogue_client(**hello))
        assert_full_because(pair, "not one of ours")
    else:
        assert is_resumed(first.again(held=by_id))


def test_a_server_without_tickets_does_not_use_the_session_id_beside_one_either():
    first = Meeting("id")
    hello = client_hello(extensions=with_extension(ExtensionType.SESSION_TICKET, b"a ticket"))
    assert not is_resumed(first.again(client_handshake=rogue_client(**hello)))


def test_a_session_id_names_nothing_to_a_server_that_has_tickets_alone():
    first = Meeting("id")
    pair = first.again(server=replace(first.server, resumption=server_resumption("ticket")))
    assert not is_resumed(pair)
    assert not pair.server.traced("session declined"), "nothing that it could have known"


def test_a_hello_that_names_no_session_has_none_declined():
    server = Meeting("either").pair.server
    assert not server.traced("session declined")
    assert server.counters["sessions declined"] == 0


def test_a_replayed_hello_with_a_ticket_from_elsewhere_gets_a_request_for_a_cookie():
    pair = Meeting("ticket").again().connect()
    hello = pair.sent[2].data
    verdict = pair.gate.receive_untrusted(hello, b"elsewhere", pair.now)
    assert isinstance(verdict, HelloVerify)
    assert len(verdict.datagram) < len(hello)
    assert isinstance(pair.gate.receive_untrusted(hello, b"client", pair.now), AcceptedHello)


@each_way
def test_a_hello_that_is_replayed_from_its_own_address_wins_nothing(by):
    first = Meeting(by)
    pair = first.again().connect()
    hello = pair.sent[2].data
    replayed = first.again()
    replayed.gate = pair.gate
    replayed.wire = lambda sent: []  # The replayer cannot answer what it cannot read.
    replayed.deliver(hello, to_server=True)
    replayed.run()
    assert not replayed.server.connected
    assert replayed.server.closed.reason
    assert not replayed.server.received
    assert is_resumed(first.again()), "and the session is as good as before"


@each_way
def test_no_byte_of_the_servers_flight_can_be_changed(by):
    first = Meeting(by)
    size = len(first.again().connect().sent[3].data)
    for position in range(0, size, 7):

        def flip(data, position=position):
            return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]

        pair = run(first.again(wire=damage(3, flip)))
        for side in (pair.client, pair.server):
            assert side.connected is None or side.connected.resumed
        if pair.client.connected and pair.server.connected:
            assert pair.works()


@each_way
def test_garbage_does_not_end_a_handshake_that_resumes_what_rested_on_a_shared_key(by):
    """The keys cannot differ here, as a wrongly typed key makes them: unreadable records come from others."""
    pair = Meeting(by, "psk").again()
    pair.start()
    pair.run(until=0.035)
    for number in range(5):
        garbage = bytes([22, 0xFE, 0xFD, 0, 1]) + number.to_bytes(6, "big") + b"\x00\x28" + bytes(40)
        pair.deliver(garbage, to_server=True)
        pair.deliver(garbage, to_server=False)
    pair.run()
    assert pair.works()


# --- the client judges ------------------------------------------------------------------------------


@each_way
def test_a_client_does_not_offer_what_has_ended(by):
    first = Meeting(by)
    first.pass_time(3600)
    assert_full_because(first.again(), "has ended", by="client")


@each_way
def test_a_client_does_not_offer_the_session_of_a_server_that_was_revoked(by):
    first = Meeting(by)
    for answer in (lambda peer: peer == small_pki().publisher_p256.identity, lambda peer: 1 / 0):
        pair = run(first.again(client=replace(first.client, is_revoked=answer)))
        assert "revoked" in declined(pair.client)
        assert not pair.client.connected


@each_way
def test_a_client_does_not_offer_a_suite_or_kind_that_it_no_longer_speaks(by):
    first = Meeting(by)
    client = replace(first.client, suites=(suites.ECDHE_ECDSA_AES_128_CCM,))
    assert_full_because(first.again(client=client), "suite is not spoken", by="client")
    held = believing(first.held, kind=HandshakeKind.SERVER_AUTHENTICATED)
    assert_full_because(first.again(held=held), "kind", by="client")


def followed(kind, by, body):
    """A server that says one message more, after this one."""
    return lambda saying: [saying, (by, body, saying[2])] if saying[0] == kind else [saying]


BREACHES = {
    "another suite": (
        server_hello(suite=suites.ECDHE_ECDSA_AES_128_CCM.code),
        AlertDescription.ILLEGAL_PARAMETER,
        "another protection",
    ),
    "no extended master secret": (
        server_hello(extensions=without(ExtensionType.EXTENDED_MASTER_SECRET)),
        AlertDescription.HANDSHAKE_FAILURE,
        "without the extended master secret",
    ),
    "a ticket in the hello": (
        server_hello(extensions=with_extension(ExtensionType.SESSION_TICKET, b"x")),
        AlertDescription.DECODE_ERROR,
        "session_ticket extension is not empty",
    ),
    "no renegotiation_info": (
        server_hello(extensions=without(ExtensionType.RENEGOTIATION_INFO)),
        AlertDescription.HANDSHAKE_FAILURE,
        "RFC 5746",
    ),
    "a Certificate all the same": (
        followed(HandshakeType.SERVER_HELLO, HandshakeType.CERTIFICATE, b"\x00\x00\x00"),
        AlertDescription.UNEXPECTED_MESSAGE,
        "Certificate",
    ),
    "a ticket that was not announced": (
        followed(HandshakeType.SERVER_HELLO, HandshakeType.NEW_SESSION_TICKET, bytes(6)),
        AlertDescription.UNEXPECTED_MESSAGE,
        "NewSessionTicket",
    ),
}


@each_way
@pytest.mark.parametrize("breach", BREACHES)
def test_a_server_that_resumes_otherwise_than_agreed_is_refused(by, breach):
    say, alert, why = BREACHES[breach]
    first = Meeting(
        by,
        changes={"max_fragment_length": 512, "unsafe_allow_missing_extended_master_secret": True},
    )
    pair = run(first.again(server_handshake=rogue_server(say=say)))
    assert not pair.client.connected
    assert (pair.client.closed.alert, why in pair.client.closed.reason) == (alert, True), pair.client.closed
    assert not pair.server.connected


@each_way
def test_a_server_that_answers_a_record_length_that_the_session_does_not_have_is_refused(by):
    first = Meeting(by, changes={"max_fragment_length": 512})
    ignorant = rogue_server(server_hello(extensions=without(ExtensionType.MAX_FRAGMENT_LENGTH)))
    held = first.anew(server_handshake=ignorant).connect().client.association.session
    assert held.session.max_fragment_length is None
    late = rogue_server(server_hello(extensions=with_extension(ExtensionType.MAX_FRAGMENT_LENGTH, b"\x01")))
    pair = run(first.again(held=held, server_handshake=late))
    assert pair.client.closed.alert is AlertDescription.ILLEGAL_PARAMETER
    assert "other record lengths" in pair.client.closed.reason


@each_way
def test_a_server_may_answer_the_sessions_record_length_again(by):
    """RFC 6066 section 1.1 has it left out; OpenSSL says it."""
    first = Meeting(by, changes={"max_fragment_length": 512})
    same = server_hello(extensions=with_extension(ExtensionType.MAX_FRAGMENT_LENGTH, b"\x01"))
    assert is_resumed(first.again(server_handshake=rogue_server(same)))


def test_a_server_that_resumes_without_encrypt_then_mac_is_refused():
    first = Meeting()
    legacy(first)
    held = first.anew().connect().client.association.session
    bare = server_hello(extensions=without(ExtensionType.ENCRYPT_THEN_MAC))
    pair = run(first.again(held=held, server_handshake=rogue_server(say=bare)))
    assert (pair.client.closed.alert, pair.client.connected) == (AlertDescription.ILLEGAL_PARAMETER, None)


@each_way
def test_a_server_that_does_not_know_the_session_cannot_pretend_that_it_does(by):
    first = Meeting(by)
    held = believing(first.held, master_secret=bytes(48))
    pair = run(first.again(held=held))
    assert_never_connected(pair)


def promised(**hello: object):
    """A server that announces a ticket in its hello."""
    return server_hello(extensions=with_extension(ExtensionType.SESSION_TICKET, b""), **hello)


def test_a_ticket_that_was_promised_has_to_come():
    first = Meeting("ticket")
    pair = run(first.anew(server_handshake=rogue_server(missing(HandshakeType.NEW_SESSION_TICKET))))
    assert not pair.client.connected
    pair = run(first.again(server_handshake=rogue_server(promised())))
    assert not pair.client.connected


def test_an_empty_ticket_is_none():
    first = Meeting("ticket")
    empty = changed(HandshakeType.NEW_SESSION_TICKET, lambda body: NewSessionTicket(300, b"").encode())
    pair = first.anew(server_handshake=rogue_server(empty)).connect()
    assert pair.client.association.session is None


def test_an_empty_ticket_does_not_take_away_the_one_that_was_resumed():
    first = Meeting("ticket")
    first.client = replace(first.client, resumption=Resumption(lifetime=7200))
    first.server = replace(first.server, resumption=server_resumption("ticket", lifetime=7200))
    first.held = first.anew().connect().client.association.session
    first.pass_time(3600)
    empty = changed(HandshakeType.NEW_SESSION_TICKET, lambda body: bytes(6))
    pair = first.again(server_handshake=rogue_server(empty))
    assert is_resumed(pair)
    assert pair.client.association.session == first.held


def test_a_malformed_ticket_message_is_refused():
    first = Meeting("ticket")
    cut = changed(HandshakeType.NEW_SESSION_TICKET, lambda body: body[:-1])
    pair = run(first.anew(server_handshake=rogue_server(cut)))
    assert pair.client.closed.alert is AlertDescription.DECODE_ERROR
    assert not pair.client.connected


def test_a_ticket_counts_only_after_the_servers_finished():
    first = Meeting("ticket")
    wrong = changed(HandshakeType.FINISHED, lambda body: bytes(12))
    pair = run(first.anew(server_handshake=rogue_server(wrong)))
    assert pair.client.closed.alert is AlertDescription.DECRYPT_ERROR
    assert pair.client.association.session is None


@each_way
def test_a_wrong_finished_is_refused_on_either_side_of_an_abbreviated_handshake(by):
    first = Meeting(by)
    wrong = changed(HandshakeType.FINISHED, lambda body: bytes(12))
    pair = run(first.again(server_handshake=rogue_server(wrong)))
    assert pair.client.closed.alert is AlertDescription.DECRYPT_ERROR
    assert not pair.client.connected
    assert not pair.server.connected
    pair = run(first.again(client_handshake=rogue_client(wrong)))
    assert pair.server.closed.alert is AlertDescription.DECRYPT_ERROR
    assert not pair.server.connected


def test_a_ticket_without_having_asked_is_refused():
    pair = run(Pair(client_config(), server_config(), server_handshake=rogue_server(promised())))
    assert_refused(pair, by="client", alert=AlertDescription.UNSUPPORTED_EXTENSION, why="not offered")


# --- sessions that went wrong (RFC 5246 section 7.2.2) ----------------------------------------------


@each_way
def test_a_fatal_alert_from_the_client_invalidates_the_session(by):
    first = Meeting(by)
    pair = first.again().connect()
    say_protected(pair.client, ContentType.ALERT, bytes([AlertLevel.FATAL, AlertDescription.INTERNAL_ERROR]))
    pair.run()
    assert pair.server.closed.alert is AlertDescription.INTERNAL_ERROR
    assert not is_resumed(first.again())


@each_way
def test_a_fatal_alert_from_the_server_takes_the_session_from_the_client(by):
    first = Meeting(by)
    pair = first.again().connect()
    assert pair.client.association.session
    say_protected(pair.server, ContentType.ALERT, bytes([AlertLevel.FATAL, AlertDescription.INTERNAL_ERROR]))
    pair.run()
    assert pair.client.closed.alert is AlertDescription.INTERNAL_ERROR
    assert pair.client.association.session is None


@each_way
def test_an_orderly_end_leaves_the_session_as_it_is(by):
    first = Meeting(by)
    first.pair.client.association.close()
    first.pair.run()
    assert first.pair.server.closed
    assert first.pair.client.association.session == first.held
    assert is_resumed(first.again())


@each_way
def test_a_forged_alert_within_a_handshake_does_not_invalidate_the_session_of_another(by):
    first = Meeting(by)
    pair = first.again()
    pair.start()
    pair.run(until=0.035)
    assert pair.server.association
    assert not pair.server.connected
    alert = bytes([AlertLevel.FATAL, AlertDescription.INTERNAL_ERROR])
    forged = bytes([21, 0xFE, 0xFD]) + bytes(8) + (2).to_bytes(2, "big") + alert
    pair.server.association.receive_datagram(forged, pair.now)
    assert pair.server.association.is_closed
    assert is_resumed(first.again())
