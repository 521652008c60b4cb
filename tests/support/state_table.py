"""The state machines of both roles as a table, drawn from the code and from handshakes that were watched.

What a state takes is read from `TRANSITIONS`; where that leads is what was seen in one handshake of every
kind. `python tests/support/state_table.py` writes docs/states.md; a test compares.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from dtls_pair import (
    Pair,
    client_config,
    psk_client_config,
    psk_server_config,
    server_config,
)
from dtls_rogue import Saying, rogue_server
from dtls_worlds import legacy
from small_pki import NOW, small_pki

from twoway.dtls import (
    CertificateCredential,
    DecryptionRequest,
    DTLSConfig,
    HandshakeKind,
    HeldSession,
    MemorySessionStore,
    RawKeyCredential,
    Resumption,
    SessionTickets,
    SignatureRequest,
    suites,
)
from twoway.dtls.client import ClientHandshake
from twoway.dtls.messages.handshake import HandshakeType
from twoway.dtls.rsa_transport import decrypt_untrusted
from twoway.dtls.server import ServerHandshake
from twoway.dtls.signatures import SignatureScheme, sign
from twoway.dtls.states import ClientState, ServerState

DOCUMENT = Path(__file__).parents[2] / "docs" / "states.md"
CHANGE_CIPHER_SPEC = "ChangeCipherSpec"
ROLES: dict[str, tuple[type[Any], type[Enum]]] = {
    "client": (ClientHandshake, ClientState),
    "server": (ServerHandshake, ServerState),
}

INTRODUCTION = """\
Drawn by `make states` from `TRANSITIONS` in `dtls/client.py` and `dtls/server.py`, and from one handshake of
every kind, watched. Do not edit it: a test compares it with the code.

A message that a state does not take is refused with `unexpected_message`, which ends the association.
ChangeCipherSpec has no number and may overtake: it waits until the state that takes it. A HelloRequest is
passed over by a client in every state (RFC 5246 section 7.4.1.1). After the handshake a repeated Finished is
answered with our last flight, an attempt to renegotiate with the warning `no_renegotiation`, and any other
handshake message is dropped.
"""

Step = tuple[Enum, str, Enum]
"""A state, what came, and the state after."""


def by_transport(config: DTLSConfig) -> DTLSConfig:
    """The same by RSA key transport alone."""
    return replace(legacy(config), suites=(suites.RSA_AES_128_CBC_SHA256,))


class Scenario(NamedTuple):
    """A client and a server, and the session that the client offers, if there is one."""

    client: DTLSConfig
    server: DTLSConfig
    session: HeldSession | None = None

    def pair(self, **arguments: Any) -> Pair:
        return Pair(self.client, self.server, session=self.session, **arguments)


def resumable(resumption: Resumption) -> Scenario:
    """A handshake after which there is a session."""
    return Scenario(client_config(resumption=Resumption(lifetime=7200)), server_config(resumption=resumption))


def resumed(first: Scenario) -> Scenario:
    """The same again, an hour after that session began."""
    pair = first.pair(seed=2, wall_clock=lambda: NOW - timedelta(hours=1)).connect()
    return first._replace(session=pair.client.association.session)


def scenarios() -> dict[str, Scenario]:
    """Client and server of every kind of handshake: together they reach every state."""
    pki = small_pki()
    one_sided = frozenset({HandshakeKind.SERVER_AUTHENTICATED})
    either = one_sided | {HandshakeKind.FULL}
    anonymous = DTLSConfig(admit=frozenset({HandshakeKind.ANONYMOUS}))
    nobody = DTLSConfig(trust=pki.trust, admit=one_sided)
    # A raw key has no key usage that would keep it out of RSA key transport.
    mine, theirs = (
        RawKeyCredential.of(pki.subscriber.private_key),
        RawKeyCredential.of(pki.publisher_rsa.private_key),
    )
    rsa_client = by_transport(DTLSConfig(raw_key=mine, raw_key_pins=frozenset({theirs.pin})))
    rsa_server = by_transport(DTLSConfig(raw_key=theirs, raw_key_pins=frozenset({mine.pin})))
    elsewhere = RawKeyCredential(theirs.public_key, decrypter=pki)  # type: ignore[arg-type] # asked by event
    by_ticket = resumable(
        Resumption(tickets=SessionTickets(bytes(32), since=NOW - timedelta(days=1)), lifetime=7200)
    )
    by_id = resumable(Resumption(store=MemorySessionStore(), lifetime=7200))
    return {
        "certificates": Scenario(client_config(), server_config()),
        "keys elsewhere": Scenario(
            client_config(certificate=CertificateCredential(pki.subscriber.chain)),
            server_config(certificate=CertificateCredential(pki.publisher_p256.chain)),
        ),
        "server alone": Scenario(nobody, server_config(admit=one_sided)),
        "client shows nothing": Scenario(nobody, server_config(admit=either)),
        "nobody": Scenario(anonymous, anonymous),
        "shared key": Scenario(
            psk_client_config(suites=(suites.PSK_AES_128_GCM,)),
            psk_server_config(),
        ),
        "shared key, ephemeral": Scenario(psk_client_config(), psk_server_config()),
        "RSA": Scenario(rsa_client, rsa_server),
        "RSA, server alone": Scenario(
            by_transport(DTLSConfig(raw_key_pins=frozenset({theirs.pin}), admit=one_sided)),
            by_transport(DTLSConfig(raw_key=theirs, admit=one_sided)),
        ),
        "RSA, key elsewhere": Scenario(rsa_client, replace(rsa_server, raw_key=elsewhere)),
        "a ticket": by_ticket,
        "resumed by a ticket of the former key": resumed(by_ticket),
        "resumed by session ID": resumed(by_id),
    }


def watching(base: type[Any], told: Callable[[Any, str, Enum], None]) -> type[Any]:
    """A handshake that tells of each input: itself, what came, and the state that it came in."""

    class Watched(base):
        def start(self) -> None:
            told(self, "start", self.state)
            super().start()

        def start_untrusted(self) -> None:
            told(self, HandshakeType.CLIENT_HELLO.label, self.state)
            super().start_untrusted()

        def receive_untrusted(self, message: Any) -> None:
            told(self, HandshakeType(message.type).label, self.state)
            super().receive_untrusted(message)

        def receive_change_cipher_spec(self) -> None:
            told(self, CHANGE_CIPHER_SPEC, self.state)
            super().receive_change_cipher_spec()

        def signed(self, signature: bytes) -> None:
            told(self, "its own signature", self.state)
            super().signed(signature)

        def decrypted(self, plaintext: bytes | None) -> None:
            told(self, "its own decryption", self.state)
            super().decrypted(plaintext)

    return Watched


def answer(request: SignatureRequest | DecryptionRequest) -> bytes | None:
    """What the keys elsewhere say."""
    pki = small_pki()
    if isinstance(request, DecryptionRequest):
        return decrypt_untrusted(pki.publisher_rsa.private_key, request.ciphertext)
    parties = (pki.subscriber, pki.publisher_p256)
    (key,) = [one.private_key for one in parties if one.chain == request.credential.chain]
    return sign(key, SignatureScheme(request.scheme), request.data)


def hint(saying: Saying) -> Iterable[Saying]:
    """Have a server give a PSK identity hint, which ours never does (RFC 4279 section 2)."""
    kind, _, epoch = saying
    said = (HandshakeType.SERVER_KEY_EXCHANGE, b"\x00\x04hint", epoch)
    return [said, saying] if kind == HandshakeType.SERVER_HELLO_DONE else [saying]


def play(
    scenario: Scenario,
    told: Callable[[str, Any, str, Enum], None],
    server: type[Any] = ServerHandshake,
) -> Pair:
    """Play a handshake to its end, and tell of every input of both roles."""
    pair = scenario.pair(
        client_handshake=watching(ClientHandshake, lambda *step: told("client", *step)),
        server_handshake=watching(server, lambda *step: told("server", *step)),
    )
    pair.signer = answer
    return pair.connect()


def steps() -> dict[str, dict[Step, set[str]]]:
    """Everything that was seen, by role: each step, and in which handshakes."""
    seen: dict[str, dict[Step, set[str]]] = {role: defaultdict(set) for role in ROLES}
    played = [(name, scenario, ServerHandshake) for name, scenario in scenarios().items()]
    played.append(("shared key, hint", scenarios()["shared key"], rogue_server(hint)))
    for name, scenario, server in played:
        inputs: dict[str, list[tuple[Enum, str]]] = {role: [] for role in ROLES}

        def note(role, _, came, state, inputs=inputs):
            inputs[role].append((state, came))

        pair = play(scenario, note, server)
        for role, side in (("client", pair.client), ("server", pair.server)):
            end = side.association.state
            after = [state for state, _ in inputs[role][1:]] + [end]
            for (state, came), following in zip(inputs[role], after, strict=True):
                seen[role][state, came, following].add(name)
    return seen


def taken(role: str, state: Enum) -> set[int]:
    """The handshake messages that a state takes, by the code."""
    handshake, _ = ROLES[role]
    types = {int(kind) for kind in handshake.TRANSITIONS.get(state, {})}
    return types | ({int(HandshakeType.HELLO_REQUEST)} if role == "client" else set())


def lines() -> Iterator[str]:
    yield "# States of a handshake"
    yield ""
    yield from INTRODUCTION.splitlines()
    seen = steps()
    for role, (_, states) in ROLES.items():
        yield ""
        yield f"## {role.title()}"
        yield ""
        yield f"| {role} in state | takes | and is then in |"
        yield "|---|---|---|"
        for state in states:
            yield from _rows(role, state, seen[role])


def _rows(role: str, state: Enum, seen: dict[Step, set[str]]) -> Iterator[str]:
    leads: dict[str, set[Enum]] = defaultdict(set)
    for before, came, after in seen:
        if before is state:
            leads[came].add(after)
    by_code = {HandshakeType(kind).label for kind in taken(role, state)} - {"HelloRequest"}
    missing = by_code - set(leads)
    if missing:
        sys.exit(f"no handshake shows what {role} does in {state.name} with {missing}")
    order = list(ROLES[role][1])
    if not leads:
        yield f"| `{state.name}` | nothing | |"
    for number, came in enumerate(sorted(leads)):
        targets = [f"`{after.name}`" for after in sorted(leads[came], key=order.index)]
        yield f"| {f'`{state.name}`' if number == 0 else ''} | {came} | {' or '.join(targets[:3])} |"
        if targets[3:]:
            yield f"|  | the same | {' or '.join(targets[3:])} |"


def document() -> str:
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
    print(f"wrote {DOCUMENT}")
