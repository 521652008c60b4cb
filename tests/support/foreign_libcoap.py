"""libcoap's `coap-client` and `coap-server`, built on OpenSSL and on GnuTLS: CoAP over DTLS (RFC 7252)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from foreign import Foreign, program
from foreign_cases import Case, Extra, Proof
from foreign_gnutls import GnuTLS
from foreign_openssl import NAMES as OPENSSL_NAMES
from foreign_stack import PSK, PSK_NAME, Papers, Stack, shared_key

RESOURCE: Final = b"example_data"
"""Which coap-server has, and takes a PUT for."""


def put(path: bytes, payload: bytes) -> bytes:
    """A confirmable PUT (RFC 7252 section 3) with one path segment of 13 to 268 bytes or fewer than 13."""
    option = bytes([0xB0 | len(path)]) if len(path) < 13 else bytes([0xBD, len(path) - 13])
    return bytes([0x41, 0x03, 0x12, 0x34, 0x77]) + option + path + b"\xff" + payload


def acknowledge_put(message: bytes) -> bytes | None:
    """What our server answers to a PUT: 2.04 with the payload echoed; nothing to other messages."""
    confirmable, token_bytes = message[0] & 0x30 == 0, message[0] & 0x0F
    if not confirmable or message[1] != 0x03:
        return None
    payload = message.rpartition(b"\xff")[2]  # The text that we have sent holds no such byte; options may.
    head = bytes([0x60 | token_bytes, 0x44]) + message[2 : 4 + token_bytes]
    return head + b"\xffecho: " + payload


def without(names: Mapping[int, str], *codes: int) -> Mapping[int, str]:
    """The suites of the stack below that libcoap leaves."""
    return MappingProxyType({code: name for code, name in names.items() if code not in codes})


class LibCoAP(Stack):
    """One of the two builds."""

    ready = "created DTLS endpoint"
    request = put(RESOURCE, b"hello")
    reply = b"hello"
    answer = staticmethod(acknowledge_put)

    build: str

    def version(self) -> str:
        said = subprocess.run(
            [program(f"coap-client-{self.build}"), "-h"], capture_output=True, text=True, timeout=20
        )
        return "libcoap " + re.search(r"v([\d.]+)", said.stdout + said.stderr)[1]

    def client(self, case: Case, port: int, papers: Papers) -> Foreign:
        start = [f"coap-client-{self.build}", "-v", "9", "-B", "30", "-m", "put", "-e", "hello"]
        pair = shared_key(case.theirs)
        name = ["-u", pair[0]] if pair else []
        uri = f"coaps://127.0.0.1:{port}/{RESOURCE.decode()}"
        return Foreign([*start, *name, *self._options(case, papers), uri])

    def server(self, case: Case, port: int, papers: Papers) -> Foreign:
        # It listens for DTLS one port higher than it is told.
        start = [f"coap-server-{self.build}", "-v", "9", "-A", "127.0.0.1", "-p", str(port - 1), "-e"]
        return Foreign([*start, *self._options(case, papers)])

    def everything(self, port: int) -> Sequence[Foreign]:
        start, uri = f"coap-client-{self.build}", f"coaps://127.0.0.1:{port}/"
        return [Foreign([start, uri]), Foreign([start, "-u", PSK_NAME, "-k", PSK.decode(), uri])]

    def _options(self, case: Case, papers: Papers) -> Sequence[str]:
        pair = shared_key(case.theirs)
        if pair:
            return ["-k", pair[1].decode()]
        if case.theirs.is_raw:
            return ["-M", papers["both.pem"]]
        if case.theirs is Proof.NOTHING:
            return ["-R", papers["ca.pem"]]
        trust = [] if Extra.ASKS_FOR_NO_CERTIFICATE in case.extras else ["-C", papers["ca.pem"]]
        return ["-c", papers["cert.pem"], "-j", papers["key.pem"], *trust]


class LibCoAPOnOpenSSL(LibCoAP):
    title = "libcoap on OpenSSL"
    build = "openssl"
    peculiarities = (
        "`coap-client-openssl` and `coap-server-openssl`: a PUT in CoAP (RFC 7252), whose answer "
        "repeats the payload. They send their leaf without the issuing CA, which we have to know; "
        "they take certificates that have expired, and any name with the one key that they were "
        "given.",
    )
    suites = without(OPENSSL_NAMES, 0xC018, 0x002F)
    sends_leaf_only = True
    agreed_words = (r"Using cipher: ([\w-]+)",)
    refusal_words = r"SSL3 alert ((?:read|write):fatal:[\w ]+)"


class LibCoAPOnGnuTLS(LibCoAP):
    title = "libcoap on GnuTLS"
    build = "gnutls"
    peculiarities = (
        "`coap-client-gnutls` and `coap-server-gnutls`, used in the same way. They take certificates "
        "that have expired, and do not look at the extended key usage.",
    )
    suites = without(GnuTLS.suites, 0xC018, 0xC0A9, 0xC0AF)
    agreed_words = (r"Selected cipher suite: (\w+)",)
    refusal_words = r"DTLS: (Alert '\d+': [\w ]+|The peer certificate[\w' ]+)"
