"""Hellos as they knock at the gate, one by one and without a client behind them."""

from __future__ import annotations

import random

from twoway.dtls import HelloGate, HelloVerify
from twoway.dtls.messages.handshake import HandshakeMessage, HandshakeType
from twoway.dtls.messages.hello import ClientHello, HelloVerifyRequest
from twoway.dtls.record import DTLS_1_0, DTLS_1_2, ContentType, encode_record

ADDRESS = b"192.0.2.1:5684"
INTERVAL = 60.0
HELLO = ClientHello(
    version=DTLS_1_2,
    random=bytes(range(32)),
    session_id=b"",
    cookie=b"",
    suites=(0xC0AE,),
    compressions=b"\x00",
    extensions={},
)
"""The smallest hello there can be."""


def gate() -> HelloGate:
    return HelloGate(entropy=random.Random(1).randbytes, rotate_interval=INTERVAL)


def datagram(hello: ClientHello, *, message_seq: int = 0, sequence: int = 0) -> bytes:
    message = HandshakeMessage(HandshakeType.CLIENT_HELLO, message_seq, hello.encode())
    return encode_record(ContentType.HANDSHAKE, DTLS_1_0, 0, sequence, message.encode())


def cookie_for(
    the_gate: HelloGate, hello: ClientHello = HELLO, *, address: bytes = ADDRESS, now=0.0
) -> bytes:
    verdict = the_gate.receive_untrusted(datagram(hello), address, now)
    assert isinstance(verdict, HelloVerify)
    return HelloVerifyRequest.parse_untrusted(verdict.datagram[25:]).cookie
