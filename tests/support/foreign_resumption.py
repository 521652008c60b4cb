"""A cell of the interop matrix in which two sides meet twice: the second handshake resumes the first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from foreign import free_udp_port
from foreign_cases import Case, Resumes, We
from foreign_stack import Papers, Stack, foreign_server
from foreign_wire import last_server_hello
from loopback import LoopbackClient, LoopbackServer

from twoway.dtls import Closed, Connected, DTLSConfig, MemorySessionStore, Resumption, SessionTickets

TICKET_DATAGRAM_BYTES = 4000
"""A ticket that holds a certificate is offered in one hello, which has to come whole."""


def resume_as_server(case: Case, stack: Stack, papers: Papers, config: DTLSConfig) -> tuple[str, str]:
    """Serve a peer's client twice; return what both agreed on and what it said."""
    with LoopbackServer(replace(config, resumption=_what_a_server_keeps(case)), stack.answer) as ours:
        words = stack.resumed_words[We.CLIENT]
        for again in (False, True):
            if stack.reconnects_by_itself and not again:
                continue
            with stack.client(case, ours.port, papers) as theirs:
                if again:
                    theirs.wait_for(words)
                stack.speak(theirs)
                theirs.wait_for(stack.echoed)
                stack.hang_up(theirs)
                theirs.finish()
            ours.wait_for(Closed)
        connections = [event for event in ours.events if isinstance(event, Connected)]
        return _agreed(connections, ours.sent), words


def resume_as_client(case: Case, stack: Stack, papers: Papers, config: DTLSConfig) -> tuple[str, str]:
    """Connect to a peer's server twice, from one port, since some listen to the first client alone."""
    config = replace(config, resumption=Resumption(), mtu_bytes=TICKET_DATAGRAM_BYTES)
    own_port, session, connections = free_udp_port(), None, []
    with foreign_server(case, stack, papers) as (theirs, port):
        for again in (False, True):
            with LoopbackClient(config, port, session, own_port) as ours:
                connections.append(ours.wait_for(Connected))
                ours.send(stack.request)
                if again:
                    stack.respond(theirs)
                    ours.wait_for_data(stack.reply)
                else:
                    theirs.wait_for("hello")
                session = ours.association.session
                assert session is not None
                assert bool(session.ticket) == (case.resumes is Resumes.TICKET), session
            if not again:
                theirs.wait_for(stack.ready_again)
        words = stack.resumed_words.get(We.SERVER, "")
        theirs.wait_for(words)
        return _agreed(connections, ours.heard), words


def _what_a_server_keeps(case: Case) -> Resumption:
    if case.resumes is Resumes.TICKET:
        return Resumption(tickets=SessionTickets(os.urandom(32), since=datetime.now(UTC)))
    return Resumption(store=MemorySessionStore())


def _agreed(connections: Sequence[Connected], from_server: Sequence[bytes]) -> str:
    """Everything that was proved comes back, and nothing else than the first handshake was resumed."""
    first, second = connections
    assert (first.resumed, second.resumed) == (False, True), connections
    assert (second.peer, second.suite, second.kind) == (first.peer, first.suite, first.kind), connections
    return ", ".join(["resumed", *last_server_hello(from_server).named])
