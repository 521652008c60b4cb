"""Messages that are left out, in every combination: SMACK, SKIP-TLS and their like.

Implementations of the same protocol have let peers jump over the very messages that prove who they are (JSSE:
CVE-2014-6593; OpenSSL: CVE-2015-0205; wolfSSL: CVE-2020-24613, CVE-2022-25640). The rogues here leave out
each set of messages of their flight and keep their transcript in step, so that only the order betrays them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from dtls_cases import configs, run
from dtls_pair import Pair
from dtls_rogue import Say, Saying, rogue_client, rogue_server

from twoway.dtls.flights import FlightItem
from twoway.dtls.messages.handshake import HandshakeType

SERVER_MESSAGES = {
    "p-256": [
        "SERVER_HELLO",
        "CERTIFICATE",
        "SERVER_KEY_EXCHANGE",
        "CERTIFICATE_REQUEST",
        "SERVER_HELLO_DONE",
    ],
    "psk": ["SERVER_HELLO", "SERVER_HELLO_DONE"],
}
CLIENT_MESSAGES = {
    "p-256": ["CERTIFICATE", "CLIENT_KEY_EXCHANGE", "CERTIFICATE_VERIFY"],
    "psk": ["CLIENT_KEY_EXCHANGE"],
}


def some_of(messages: dict[str, list[str]]) -> list[tuple[str, tuple[str, ...]]]:
    """Every set of messages that is not empty, for every kind."""
    return [
        (kind, left_out)
        for kind, names in messages.items()
        for count in range(1, len(names) + 1)
        for left_out in itertools.combinations(names, count)
    ]


def saying_all_but(left_out: Iterable[str]) -> Say:
    kinds = {HandshakeType[name] for name in left_out}

    def say(saying: Saying) -> Iterable[Saying]:
        return [] if saying[0] in kinds else [saying]

    return say


def without_change(items: list[FlightItem]) -> list[FlightItem]:
    return [item for item in items if item.message is not None]


@pytest.mark.parametrize(("kind", "left_out"), some_of(SERVER_MESSAGES))
def test_a_server_that_leaves_out_any_of_its_messages_is_not_connected_to(kind, left_out):
    pair = run(Pair(*configs(kind), server_handshake=rogue_server(saying_all_but(left_out))))
    assert not pair.client.connected
    assert pair.client.closed


@pytest.mark.parametrize(("kind", "left_out"), some_of(CLIENT_MESSAGES))
@pytest.mark.parametrize("changes_over", [True, False])
def test_a_client_that_leaves_out_any_of_its_messages_is_not_connected_to(kind, left_out, changes_over):
    arrange = list if changes_over else without_change
    rogue = rogue_client(saying_all_but(left_out), arrange)
    pair = run(Pair(*configs(kind), client_handshake=rogue))
    assert not pair.server.connected
    assert pair.server.closed


@pytest.mark.parametrize("kind", list(SERVER_MESSAGES))
def test_a_server_that_goes_straight_to_finished_is_not_connected_to(kind):
    """No hello, no certificate, no keys: ChangeCipherSpec and some Finished behind it."""

    def start_untrusted(self) -> None:
        self._note(self._accepted.message)
        self._flight.append(FlightItem(0, None))
        self._say(HandshakeType.FINISHED, bytes(12))
        self._send_flight(awaits_answer=False)

    pair = run(Pair(*configs(kind), server_handshake=rogue_server(start_untrusted=start_untrusted)))
    assert not pair.client.connected
    assert pair.client.closed
