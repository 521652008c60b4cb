"""What is fuzzed: functions from bytes to nothing, which raise if the engine breaks a promise.

`datagrams`: a handshake of a chosen kind is played up to a chosen datagram; then a role hears what the
             input spells: raw datagrams, whole handshake messages in step, records of any header, and
             damaged copies of genuine ones. Afterwards the wire is honest again.
`gate`:      a server's gate hears raw and damaged hellos.
`codecs`:    every message is read from the input, written, and read again.

The promise: bad input is dropped, or it ends this one association with a fatal alert. Nothing is raised,
nobody wrong is accepted, nothing grows, and another association does not notice.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

from dtls_cases import assert_safe, configs
from dtls_pair import Pair

from twoway.dtls import AcceptedHello, HandshakeFailure, HelloGate, HelloVerify
from twoway.dtls.messages import certificates, hello, key_exchange, tickets
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType, parse_fragments_untrusted
from twoway.dtls.reassembly import MAX_BYTES_HELD, MAX_MESSAGE_BYTES
from twoway.dtls.receiving import MAX_EARLY_RECORDS
from twoway.dtls.record import DTLS_1_2, ContentType, encode_record, split_datagram_untrusted

KINDS = ("p-256", "rsa", "psk")
MAX_HELD = MAX_BYTES_HELD + MAX_MESSAGE_BYTES
MAX_STEPS = 16


class Script:
    """An input, read from front to back; what is not there reads as nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, below: int) -> int:
        width = 1 if below <= 2**8 else 2
        return int.from_bytes(self.bytes(width), "big") % below

    def bytes(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def block(self) -> bytes:
        return self.bytes(self.number(2**16))

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._data)


# --- datagrams ---------------------------------------------------------------------------------------


def datagrams(data: bytes) -> None:
    script = Script(data)
    kind = KINDS[script.number(len(KINDS))]
    to_server = bool(script.number(2))
    stage = script.number(12)
    pair = Pair(*configs(kind), seed=1)
    genuine: list[bytes] = []

    def wire(datagram):
        if len(pair.sent) == stage + 1:
            genuine.append(datagram.data)
            _disturb(pair, script, genuine, to_server=to_server)
        return [(0.0, datagram.data)]

    pair.wire = wire
    pair.start()
    pair.run()
    _disturb(pair, script, [sent.data for sent in pair.sent], to_server=to_server)
    assert_bounded(pair)
    assert_safe(pair, kind)
    assert _bystander().works(), "another association is disturbed"


def _disturb(pair: Pair, script: Script, genuine: list[bytes], *, to_server: bool) -> None:
    for _ in range(MAX_STEPS):
        if script.is_over:
            return
        pair.deliver(STEPS[script.number(len(STEPS))](pair, script, genuine, to_server), to_server=to_server)
        assert_bounded(pair)


def _raw(pair: Pair, script: Script, genuine: list[bytes], to_server: bool) -> bytes:
    return script.block()


def _record(pair: Pair, script: Script, genuine: list[bytes], to_server: bool) -> bytes:
    kind, epoch, sequence = script.number(2**8), script.number(4), script.number(2**16)
    return encode_record(kind, DTLS_1_2, epoch, sequence, script.block())


def _message(pair: Pair, script: Script, genuine: list[bytes], to_server: bool) -> bytes:
    """A whole message with the number that is due."""
    side = pair.server if to_server else pair.client
    seq = side.association._receiver.messages.next_seq if side.association else 0
    message = HandshakeMessage(script.number(2**8), seq, script.block())
    return encode_record(ContentType.HANDSHAKE, DTLS_1_2, 0, script.number(2**16), message.encode())


def _damaged(pair: Pair, script: Script, genuine: list[bytes], to_server: bool) -> bytes:
    """A genuine datagram with some bytes changed, or cut, or doubled."""
    damaged = bytearray(genuine[script.number(len(genuine))])
    for _ in range(script.number(8)):
        damaged[script.number(2**16) % len(damaged)] ^= script.number(2**8)
    end = script.number(2**16)
    return bytes(damaged[:end] if end < len(damaged) else damaged)


STEPS: tuple[Callable[[Pair, Script, list[bytes], bool], bytes], ...] = (_raw, _record, _message, _damaged)


def assert_bounded(pair: Pair) -> None:
    for side in (pair.client, pair.server):
        if side.association is None:
            continue
        receiver = side.association._receiver
        held = sum(one.length for one in receiver.messages._assemblies.values())
        assert held <= MAX_HELD, "unfinished messages grow"
        assert len(receiver._early) <= MAX_EARLY_RECORDS, "early records grow"


@functools.cache
def _bystander() -> Pair:
    return Pair(*configs("psk"), seed=2).connect()


# --- the gate ----------------------------------------------------------------------------------------


def gate(data: bytes) -> None:
    script = Script(data)
    door = HelloGate(entropy=random.Random(1).randbytes)
    genuine = _hellos()
    while not script.is_over:
        hostile = (
            script.block() if script.number(2) else _damaged(None, script, list(genuine), True)  # type: ignore[arg-type] # looks at no pair
        )
        address = bytes([script.number(4)])
        answer = door.receive_untrusted(hostile, address, float(script.number(2**16)))
        if isinstance(answer, HelloVerify):
            assert len(answer.datagram) <= max(len(hostile), 67), "more goes out than came in"
        # Nobody here has ever been told a cookie of this gate.
        assert not isinstance(answer, AcceptedHello)


@functools.cache
def _hellos() -> tuple[bytes, ...]:
    found = []
    for kind in KINDS:
        pair = Pair(*configs(kind), seed=1).connect()
        found += [sent.data for sent in pair.sent if sent.to_server][:2]
    return tuple(found)


# --- codecs ------------------------------------------------------------------------------------------

CODECS = (
    hello.ClientHello,
    hello.ServerHello,
    hello.HelloVerifyRequest,
    certificates.Certificate,
    certificates.RawPublicKey,
    certificates.CertificateRequest,
    certificates.CertificateVerify,
    key_exchange.ServerECDHE,
    key_exchange.ServerECDHAnon,
    key_exchange.ServerECDHEPSK,
    key_exchange.ClientECDHE,
    key_exchange.ClientPSKIdentity,
    key_exchange.ClientECDHEPSK,
    key_exchange.ClientRSA,
    tickets.NewSessionTicket,
)
"""Messages whose bytes follow from their values, except for a hello with an empty list of extensions."""


def codecs(data: bytes) -> None:
    script = Script(data)
    codec = CODECS[script.number(len(CODECS))]
    body = data[1:]
    try:
        message = codec.parse_untrusted(body)
    except HandshakeFailure:
        message = None
    if message is not None:
        written = message.encode()
        assert codec.parse_untrusted(written) == message
        assert written == body or body == written + b"\x00\x00"
    records, rest = split_datagram_untrusted(body)
    joined = b"".join(encode_record(*record) for record in records)
    assert joined + body[len(body) - rest :] == body
    fragments = list(parse_fragments_untrusted(body))
    for fragment in fragments:
        assert fragment.offset + len(fragment.data) <= fragment.length


# --- where to begin ----------------------------------------------------------------------------------

TARGETS: dict[str, Callable[[bytes], None]] = {"datagrams": datagrams, "gate": gate, "codecs": codecs}


def seeds(target: str) -> list[bytes]:
    """Inputs that reach deep: damaged copies at every stage, messages in step, bodies of real messages."""
    if target == "datagrams":
        return [
            bytes([kind, role, stage, step, *rest])
            for kind in range(len(KINDS))
            for role in range(2)
            for stage in range(0, 12, 2)
            for step, rest in (
                (1, [22, 0, 0, 9, 0, 4, 1, 2, 3, 4]),
                (2, [11, 0, 4, 0, 0, 0, 0, 0, 5]),
                (3, [0, 0, 1, 0, 30, 1, 0xFF, 0xFF]),
            )
        ]
    if target == "gate":
        return [b"\x00\x00\x01\x00\x0d\x01\xff\xff\x01\x00\x01", *(_block(one) for one in _hellos())]
    bodies = []
    for kind in KINDS:
        for sent in Pair(*configs(kind), seed=1).connect().sent:
            for record in sent.records:
                if record.type == ContentType.HANDSHAKE and record.epoch == 0:
                    bodies += [(one.type, one.data) for one in parse_fragments_untrusted(record.fragment)]
    numbers = {
        HandshakeType.CLIENT_HELLO: (0,),
        HandshakeType.SERVER_HELLO: (1,),
        HandshakeType.HELLO_VERIFY_REQUEST: (2,),
        HandshakeType.CERTIFICATE: (3, 4),
        HandshakeType.CERTIFICATE_REQUEST: (5,),
        HandshakeType.CERTIFICATE_VERIFY: (6,),
        HandshakeType.SERVER_KEY_EXCHANGE: (7, 8, 9),
        HandshakeType.CLIENT_KEY_EXCHANGE: (10, 11, 12, 13),
    }
    return [
        bytes([number]) + body for kind, body in bodies for number in numbers.get(HandshakeType(kind), ())
    ]


def _block(data: bytes) -> bytes:
    return b"\x01" + len(data).to_bytes(2, "big") + data + b"\x00\x00\x00"
