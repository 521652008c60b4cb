"""The same work by others, where they are installed: pyOpenSSL, and tinydtls in DTLSSocket.

`make bench` installs the first; `scripts/set-up --system` builds the second into build/peers/tinydtls.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path

from cryptography import x509
from handshakes import PAYLOAD, PSK_NAME

from twoway.pki import StoredIdentity

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "build" / "bench-peers", ROOT / "build" / "peers" / "tinydtls")

sys.path += [str(folder) for folder in FOLDERS]

Work = Callable[[], object]

# Suites, as OpenSSL writes them.
GCM = b"ECDHE-ECDSA-AES128-GCM-SHA256"
RSA_GCM = b"ECDHE-RSA-AES128-GCM-SHA256"
# Its default security level leaves the short tags out.
CCM_8 = b"ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"


def installed(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class PyOpenSSL:
    """Two connections over memory. A cookie exchange is made only where that is asked for; ours always is.
    What its methods take and return is of the peer's own types.
    """

    def __init__(self) -> None:
        from OpenSSL import SSL

        self._ssl = SSL

    def handshake(
        self, identities: tuple[StoredIdentity, StoredIdentity], suites: bytes, *, cookie: bool = False
    ) -> Work:
        contexts = [self._context(identity, suites) for identity in identities]
        if cookie:
            contexts[1].set_options(self._ssl.OP_COOKIE_EXCHANGE)
            contexts[1].set_cookie_generate_callback(lambda connection: PSK_NAME * 4)
            contexts[1].set_cookie_verify_callback(lambda connection, came: came == PSK_NAME * 4)
        return lambda: self._connect(*contexts)

    def resumed(self, identities: tuple[StoredIdentity, StoredIdentity], suites: bytes) -> Work:
        """Resume one session by its ticket."""
        contexts = [self._context(identity, suites, tickets=True) for identity in identities]
        contexts[1].set_session_id(PSK_NAME)  # A server that checks certificates resumes nothing without one.
        first = self._connect(*contexts)
        session = first[0].get_session()

        def work() -> None:
            for end in self._connect(*contexts, session=session):
                # A resumed session has the master secret of its first handshake (RFC 5246 section 7.3).
                assert end.master_key() == first[0].master_key(), "a full handshake was made"
                # A connection that goes without a goodbye takes its session with it (SSL_free).
                end.set_shutdown(self._ssl.SENT_SHUTDOWN | self._ssl.RECEIVED_SHUTDOWN)

        return work

    def round_trip(self, identities: tuple[StoredIdentity, StoredIdentity], suites: bytes) -> Work:
        return partial(self._exchange, self._connect(*(self._context(each, suites) for each in identities)))

    def idle(self, identities: tuple[StoredIdentity, StoredIdentity], suites: bytes) -> Iterator[object]:
        """Return pairs whose ends have each said something, one after the other."""
        contexts = [self._context(identity, suites) for identity in identities]

        def pair() -> object:
            ends = self._connect(*contexts)
            self._exchange(ends)
            return ends

        return (pair() for _ in count())

    @staticmethod
    def _exchange(ends) -> None:  # noqa: ANN001 - its type is the peer's own
        for sender, receiver in (ends, ends[::-1]):
            sender.send(PAYLOAD)
            receiver.bio_write(sender.bio_read(2048))
            receiver.recv(2048)

    def _context(self, identity: StoredIdentity, suites: bytes, *, tickets: bool = False):  # noqa: ANN202 - likewise
        from OpenSSL.crypto import X509, PKey

        ssl = self._ssl
        made = ssl.Context(ssl.DTLS_METHOD)
        made.set_options(ssl.OP_NO_QUERY_MTU | (0 if tickets else ssl.OP_NO_TICKET))
        made.set_cipher_list(suites)
        leaf, *rest = (X509.from_cryptography(x509.load_der_x509_certificate(der)) for der in identity.chain)
        made.use_certificate(leaf)
        for certificate in rest:
            made.add_extra_chain_cert(certificate)
        made.use_privatekey(PKey.from_cryptography_key(identity.private_key))
        made.load_verify_locations(str(identity.folder / "ca.pem"))
        made.set_verify(ssl.VERIFY_PEER | ssl.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *told: bool(told[-1]))
        return made

    def _connect(self, client_context, server_context, session=None):  # noqa: ANN001, ANN202 - likewise
        ssl = self._ssl
        ends = [ssl.Connection(context, None) for context in (client_context, server_context)]
        ends[0].set_connect_state()
        ends[1].set_accept_state()
        if session is not None:
            ends[0].set_session(session)
        for end in ends:
            end.set_ciphertext_mtu(1200)
        unfinished = set(ends)
        while unfinished:
            for end, other in (ends, ends[::-1]):
                if end in unfinished:
                    try:
                        end.do_handshake()
                        unfinished.discard(end)
                    except ssl.WantReadError:
                        pass
                while True:
                    try:
                        other.bio_write(end.bio_read(65536))
                    except ssl.WantReadError:
                        break
        return ends


class TinyDTLS:
    """Two contexts that write into each other's queue: PSK with CCM_8, cookie exchange included."""

    def __init__(self, key: bytes) -> None:
        from DTLSSocket import dtls

        dtls.setLogLevel(dtls.DTLS_LOG_EMERG)
        self._dtls = dtls
        self._name = PSK_NAME  # The library keeps a pointer, not a copy.
        self._keys = {PSK_NAME: key}
        self._queue: deque[tuple[bool, bytes]] = deque()
        self._received = 0
        self._connected = 0
        self._ends = [self._context(to_server=True), self._context(to_server=False)]
        self._far = [dtls.Session("::1", 1), dtls.Session("::1", 2)]
        """How the client calls the server, and the server the client."""

    def handshake(self) -> None:
        connection = self._ends[0].connect("::1", 1)
        self._connected = 0
        self._deliver()
        assert self._connected == 2, "tinydtls did not connect"
        for end, far in zip(self._ends, self._far, strict=True):
            end.resetPeer(far)
        self._queue.clear()  # the alerts that say goodbye
        del connection

    def round_trip(self) -> Work:
        connection = self._ends[0].connect("::1", 1)
        self._deliver()

        def work() -> None:
            received = self._received
            self._ends[0].write(connection, PAYLOAD)
            self._deliver()
            self._ends[1].write(self._far[1], PAYLOAD)
            self._deliver()
            assert self._received == received + 2, "tinydtls lost a record"

        return work

    def _context(self, *, to_server: bool):  # noqa: ANN202 - likewise
        def write(address: tuple[str, int], data: bytes) -> int:
            self._queue.append((to_server, data))
            return len(data)

        return self._dtls.DTLS(
            read=self._read, write=write, event=self._event, pskId=self._name, pskStore=self._keys
        )

    def _read(self, address: tuple[str, int], data: bytes) -> int:
        self._received += 1
        return len(data)

    def _event(self, level: int, code: int) -> None:
        if code == 0x01DE:  # DTLS_EVENT_CONNECTED in its dtls.h
            self._connected += 1

    def _deliver(self) -> None:
        while self._queue:
            to_server, data = self._queue.popleft()
            end, far = (self._ends[1], self._far[1]) if to_server else (self._ends[0], self._far[0])
            end.handleMessage(far, data)
