"""One cell of the interop matrix, carried out: a real process, a handshake, data both ways, the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from foreign import PATIENCE, Foreign, program
from foreign_cases import Case, Extra, Limit, Proof, Refused, We
from foreign_cells import STACKS
from foreign_packages import MbedTLS, environment
from foreign_resumption import resume_as_client, resume_as_server
from foreign_stack import Papers, Stack, certificate, foreign_server, raw_key, shared_key
from foreign_wire import CONNECTION_ID, asked_for_a_cookie, client_hello, server_hello
from loopback import Loop, LoopbackClient, LoopbackServer
from small_pki import small_pki

from twoway.dtls import (
    CertificateCredential,
    Closed,
    ClosedBy,
    Connected,
    DTLSConfig,
    HandshakeKind,
    Legacy2013Profile,
    PSKCredential,
    RawKeyCredential,
)

GIVE_UP = 4.0
"""Seconds after which a handshake is over where the peer is known to stay silent."""
REFUSAL_PATIENCE = 30.0
"""Seconds until a refusal; a wrong key shows when the peer has sent its last flight three times."""
WORDS_PATIENCE = 2.0
"""Seconds in which a peer may say that it was refused; some say nothing."""


@dataclass(frozen=True)
class Cell:
    """What a case led to."""

    ours: str
    """What we saw: group and features; or the refusal."""
    theirs: str
    """What the peer said, quoted."""


def run(case: Case) -> Cell:
    """Carry out a case.

    Raises:
        AssertionError: it did not end as it has to; with all that the peer said.
    """
    stack = STACKS[case.peer]
    folder = Path(tempfile.mkdtemp(prefix="interop-"))
    try:
        papers = Papers.write(case.theirs, case.we.other, folder / "peer")
        if case.resumes:
            resume = resume_as_server if case.we is We.SERVER else resume_as_client
            return Cell(*resume(case, stack, papers, configuration(case, stack)))
        with (_we_serve if case.we is We.SERVER else _we_call)(case, stack, papers) as (ours, theirs):
            if case.ends:
                return _refusal(case, stack, ours, theirs)
            return (_death if case.peer_dies else _exchange)(case, stack, ours, theirs)
    finally:
        shutil.rmtree(folder)


def prepare() -> None:
    """Make keys and certificates before threads want them."""
    for proof in Proof:
        for side in We:
            certificate(proof, side)
            raw_key(proof, side)


def run_limit(limit: Limit) -> None:
    """Ask a peer about what it cannot do.

    Raises:
        AssertionError: it can, or says so.
    """
    command, more = list(limit.command), {}
    if command[0] == MbedTLS.program:
        command, more = [*MbedTLS.command, *command[1:]], environment("mbedtls")
    command[0] = program(command[0])
    done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True, timeout=20)
    said = done.stdout + done.stderr
    assert said.strip(), f"{limit.name}: no output"
    assert limit.says in said, said
    assert not limit.lacks or limit.lacks not in said, said


def offered_suites(stack: Stack) -> set[int]:
    """What the clients of a stack offer, with everything allowed."""
    offered: set[int] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(PATIENCE)
        for client in stack.everything(listener.getsockname()[1]):
            with client:
                offered |= client_hello([listener.recv(65536)]).suites
    return offered


def configuration(case: Case, stack: Stack) -> DTLSConfig:
    """Our side of a case."""
    legacy = case.suite.is_legacy or Extra.MAC_THEN_ENCRYPT in case.extras
    profile = Legacy2013Profile if legacy else DTLSConfig
    config = profile(
        **_credentials(case, stack),
        admit=frozenset({case.kind}),
        suites=(case.suite,),
        groups=case.groups,
        unsafe_allow_missing_extended_master_secret=stack.lacks_extended_master_secret,
        **case.config,
    )
    silent = case.ends is not None and case.ends.by is ClosedBy.TIMEOUT
    return replace(config, handshake_timeout=GIVE_UP) if silent else config


def _credentials(case: Case, stack: Stack) -> dict[str, object]:
    pair = shared_key(case.ours)
    if pair is not None:
        name, key = pair[0].encode(), pair[1]
        if case.we is We.CLIENT:
            return {"psk": PSKCredential(name, key)}
        return {"psk_lookup": {name: key}.get}
    given: dict[str, object] = {}
    credential, raw = certificate(case.ours, case.we), raw_key(case.ours, case.we)
    if credential is not None:
        given["certificate"] = CertificateCredential(credential.chain, credential.private_key)
    if raw is not None:
        given["raw_key"] = RawKeyCredential.of(raw)
    if case.theirs.is_raw:
        pinned = raw_key(Proof.RAW, case.we.other)
        given["raw_key_pins"] = frozenset({RawKeyCredential.of(pinned).pin})
    elif case.kind is HandshakeKind.FULL or (case.we is We.CLIENT and credential is None):
        trust = small_pki().trust
        given["trust"] = trust.knowing(small_pki().subscriber.chain) if stack.sends_leaf_only else trust
    return given


@contextmanager
def _we_serve(case: Case, stack: Stack, papers: Papers) -> Iterator[tuple[Loop, Foreign]]:
    with LoopbackServer(configuration(case, stack), stack.answer) as ours:
        with stack.client(case, ours.port, papers) as theirs:
            yield ours, theirs


@contextmanager
def _we_call(case: Case, stack: Stack, papers: Papers) -> Iterator[tuple[Loop, Foreign]]:
    with foreign_server(case, stack, papers) as (theirs, port):
        with LoopbackClient(configuration(case, stack), port) as ours:
            yield ours, theirs


def _exchange(case: Case, stack: Stack, ours: Loop, theirs: Foreign) -> Cell:
    """The handshake succeeds; each side gets what the other one said; one of them closes."""
    try:
        ours.wait_for(Connected)
        if case.we is We.SERVER:
            stack.speak(theirs)
            ours.wait_for_data(b"hello")
            theirs.wait_for(stack.echoed)
            stack.hang_up(theirs)
            if stack.says_goodbye:
                assert ours.wait_for(Closed).by is ClosedBy.PEER
        else:
            ours.send(stack.request)
            stack.respond(theirs)
            ours.wait_for_data(stack.reply)
    except AssertionError as failure:
        raise AssertionError(f"{case.name}: {failure}\n--- the peer said:\n{theirs.output}") from None
    return _agreement(case, stack, ours, theirs)


def _death(case: Case, stack: Stack, ours: Loop, theirs: Foreign) -> Cell:
    """The handshake succeeds, and the peer's program dies of it by itself."""
    ours.wait_for(Connected)
    status = theirs.finish()
    assert status < 0, f"{case.name}: it lives\n--- the peer said:\n{theirs.output}"
    cell = _agreement(case, stack, ours, theirs)
    return Cell(f"{cell.ours}, signal {-status}", cell.theirs)


def _agreement(case: Case, stack: Stack, ours: Loop, theirs: Foreign) -> Cell:
    """What was negotiated, after a look whether both sides mean the same."""
    connected = ours.wait_for(Connected)
    own_name = stack.suites[case.suite.code]
    theirs.wait_until(lambda output: own_name in stack.words(output, agreed=True), WORDS_PATIENCE)
    hello = server_hello(ours.sent if case.we is We.SERVER else ours.heard)
    words = stack.words(theirs.output, agreed=True)
    _check_agreement(case, stack, connected, hello.suite, words, ours)
    if case.we is We.SERVER and stack.master_secret_words and not case.peer_dies:
        assert (stack.master_secret_words in theirs.output) == ("EMS" in hello.named), theirs.output
    facts = [connected.group] if connected.group else []
    facts += [] if "EMS" in hello.named else ["no EMS"]
    facts += [] if asked_for_a_cookie(ours.sent if case.we is We.SERVER else ours.heard) else ["no cookie"]
    return Cell(", ".join(facts + hello.named), words)


def _refusal(case: Case, stack: Stack, ours: Loop, theirs: Foreign) -> Cell:
    """The handshake fails, by the side and for the reason that the case says, before anybody is connected."""
    try:
        closed = ours.wait_for(Closed, REFUSAL_PATIENCE)
    except AssertionError as failure:
        raise AssertionError(f"{case.name}: {failure}\n--- the peer said:\n{theirs.output}") from None
    outcome = Refused(closed.by, closed.alert)
    told = f"{case.name}: {outcome} ({closed.reason})\n--- the peer said:\n{theirs.output}"
    assert outcome == case.ends, told
    assert not closed.established
    assert not ours.has(Connected)
    if case.says_nothing:
        return Cell(str(outcome), "")
    if closed.by is not ClosedBy.TIMEOUT:
        theirs.wait_until(lambda output: stack.words(output, agreed=False) != "", WORDS_PATIENCE)
    return Cell(str(outcome), stack.words(theirs.output, agreed=False))


def _check_agreement(
    case: Case, stack: Stack, connected: Connected, suite: int, words: str, ours: Loop
) -> None:
    """Both sides mean the same: the suite on the wire, in our event and in the peer's words; and the peer."""
    said = f"{connected}\n{words}"
    assert suite == case.suite.code, said
    assert connected.suite == case.suite.name, said
    assert stack.suites[case.suite.code] in words, said
    assert connected.kind is case.kind, said
    assert connected.group is None or connected.group in [group.label for group in case.groups], said
    pair, credential = shared_key(case.theirs), certificate(case.theirs, case.we.other)
    if pair is not None and case.we is We.SERVER:
        assert connected.peer.psk_identity == pair[0].encode(), said
    if credential is not None and (case.we is We.CLIENT or case.kind is HandshakeKind.FULL):
        assert connected.peer.spki == credential.spki, said
    if case.theirs is Proof.RAW:
        assert connected.peer.spki == RawKeyCredential.of(raw_key(case.theirs, case.we.other)).spki, said
    if "connection_id_bytes" in case.config:
        offered = client_hello(ours.sent if case.we is We.CLIENT else ours.heard).extensions
        assert (CONNECTION_ID in offered) == (case.we is We.CLIENT), said
    limit = case.config.get("mtu_bytes", DTLSConfig.mtu_bytes)
    assert max(map(len, ours.sent)) <= limit, f"{case.name}: a datagram of ours is too large"
