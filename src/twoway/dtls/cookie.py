"""The stateless cookie exchange: RFC 6347 section 4.2.1.

Theory of operation. A ClientHello costs its sender nothing and its source address may be a lie. So until
the sender has shown that it receives what is sent to that address, this gate

- keeps nothing of a hello in one piece: the cookie is an HMAC over the address and the hello's parameters,
  under a secret that only this process knows, and can be checked without having been remembered;
- computes nothing dear: one HMAC;
- sends less than it got: a HelloVerifyRequest of 60 bytes for a hello of at least 67;
- gives nothing away: hellos without a cookie, with a stale one and with a forged one look alike to the
  sender, who gets a fresh cookie in each case.

The secret is renewed by the clock that the caller hands in; the one before stays valid for another
interval, so a cookie lives one to two intervals.

A hello that is spread over several fragments needs memory for an unverified address. There is a fixed amount
of it, see :mod:`twoway.dtls.bench`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import constant_time, hashes, hmac

from twoway.dtls.alerts import HandshakeFailure
from twoway.dtls.bench import MAX_HELLO_BYTES, HelloBench
from twoway.dtls.messages.handshake import (
    Fragment,
    HandshakeMessage,
    HandshakeType,
    parse_fragments_untrusted,
)
from twoway.dtls.messages.hello import ClientHello, HelloVerifyRequest
from twoway.dtls.record import (
    DTLS_1_0,
    HEADER_BYTES,
    ContentType,
    Record,
    encode_record,
    split_datagram_untrusted,
)
from twoway.dtls.wire import integers, vector

MAX_HELLO_SEQUENCE: Final = 2**40
MAX_HELLO_MESSAGE_SEQ: Final = 2**8
"""The server goes on with the numbers of the hello, so one that has used them up already gets no answer. A
real one is among the first things that its sender says."""
SECRET_BYTES: Final = 32


@dataclass(frozen=True)
class HelloVerify:
    """Send this datagram back and forget that anybody asked."""

    datagram: bytes


@dataclass(frozen=True)
class HelloUnfinished:
    """It was a piece of a hello, and others are missing: there is nothing to do."""


@dataclass(frozen=True)
class AcceptedHello:
    """A ClientHello whose sender receives at its address: an association may be made from it."""

    hello: ClientHello
    message: HandshakeMessage
    """The hello as a message, for the transcript."""
    record: Record
    """The record that it came in: our first one takes the same number (RFC 6347 section 4.2.1). Of a hello in
    fragments it is the record that its last piece came in, with all of the hello in it."""

    @property
    def datagram(self) -> bytes:
        """The hello as it would come in one piece; for an association that has to see it again."""
        return encode_record(*self.record)


class HelloGate:
    """Decides which ClientHello is worth memory.

    Args:
        entropy: returns that many random bytes, like ``os.urandom``.
        rotate_interval: seconds until the secret is renewed. A client that repeats its hello once a minute,
            as patient ones come to do where much is lost, must get through before its cookie is too old.
    """

    def __init__(self, *, entropy: Callable[[int], bytes], rotate_interval: float = 300.0) -> None:
        self._entropy = entropy
        self._rotate_interval = rotate_interval
        self._secret = entropy(SECRET_BYTES)
        self._previous_secret = entropy(SECRET_BYTES)
        self._opened_at: float | None = None
        self._intervals = 0
        self._bench = HelloBench()

    def receive_untrusted(
        self, datagram: bytes, address: bytes, now: float
    ) -> HelloVerify | HelloUnfinished | AcceptedHello | None:
        """Judge a datagram from an address without an association; never raises.

        Args:
            datagram: the UDP payload.
            address: the sender's address and port in one unambiguous form.
            now: monotonic seconds.

        Returns:
            What to send back, or the hello to build an association from; or that it was a piece of one;
            or None: drop it.
        """
        self._rotate(now)
        records, _ = split_datagram_untrusted(datagram)
        if not records:
            return None
        record = records[0]
        fragment = _client_hello_fragment_untrusted(record)
        if fragment is None:
            return None
        if fragment.is_whole:
            message = HandshakeMessage(fragment.type, fragment.message_seq, fragment.data)
        elif fragment.length > MAX_HELLO_BYTES:
            return None
        elif (whole := self._bench.add(fragment, address, now)) is not None:
            message, record = whole, record._replace(fragment=whole.encode())
        else:
            return HelloUnfinished()
        try:
            hello = ClientHello.parse_untrusted(message.body)
        except HandshakeFailure:
            return None
        if hello.cookie and self._is_ours(hello, address):
            return AcceptedHello(hello, message, record)
        return HelloVerify(self._verify_request(hello, address, message.message_seq, record.sequence))

    def _verify_request(self, hello: ClientHello, address: bytes, message_seq: int, sequence: int) -> bytes:
        # Section 4.2.1: the version is DTLS 1.0 whatever will be negotiated, and the record takes the
        # number of the hello's record.
        request = HelloVerifyRequest(DTLS_1_0, _cookie(self._secret, hello, address))
        message = HandshakeMessage(HandshakeType.HELLO_VERIFY_REQUEST, message_seq, request.encode())
        return encode_record(ContentType.HANDSHAKE, DTLS_1_0, 0, sequence, message.encode())

    def _is_ours(self, hello: ClientHello, address: bytes) -> bool:
        return any(
            constant_time.bytes_eq(_cookie(secret, hello, address), hello.cookie)
            for secret in (self._secret, self._previous_secret)
        )

    def _rotate(self, now: float) -> None:
        if self._opened_at is None:
            self._opened_at = now
        intervals = int((now - self._opened_at) // self._rotate_interval)
        if intervals <= self._intervals:
            return
        # After a quiet time of a whole interval even the current secret's cookies are too old.
        outlived = intervals > self._intervals + 1
        self._previous_secret = self._entropy(SECRET_BYTES) if outlived else self._secret
        self._secret = self._entropy(SECRET_BYTES)
        self._intervals = intervals


def may_be_client_hello(datagram: bytes) -> bool:
    """Tell at a glance whether a datagram begins like a ClientHello or any fragment of one: a handshake
    record of epoch 0 whose first message is of that type (RFC 6347 sections 4.1 and 4.2.2)."""
    return (
        len(datagram) > HEADER_BYTES
        and datagram[0] == ContentType.HANDSHAKE
        and datagram[3:5] == b"\x00\x00"
        and datagram[HEADER_BYTES] == HandshakeType.CLIENT_HELLO
    )


def _client_hello_fragment_untrusted(record: Record) -> Fragment | None:
    if record.type != ContentType.HANDSHAKE or record.epoch != 0 or record.sequence > MAX_HELLO_SEQUENCE:
        return None
    fragment = next(parse_fragments_untrusted(record.fragment), None)
    if fragment is None or fragment.type != HandshakeType.CLIENT_HELLO:
        return None
    return fragment if fragment.message_seq <= MAX_HELLO_MESSAGE_SEQ else None


def _cookie(secret: bytes, hello: ClientHello, address: bytes) -> bytes:
    """HMAC(secret, address, client parameters); each part with its length, so none can run into the next."""
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(vector(2, address))
    mac.update(hello.parameters())
    mac.update(integers(2, 2, hello.suites))
    mac.update(vector(1, hello.compressions))
    return mac.finalize()
