"""GnuTLS: `gnutls-cli` and `gnutls-serv` over UDP."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from foreign import Foreign, program
from foreign_cases import OUR_SUITES, Case, Extra, Proof, Resumes, We
from foreign_stack import PSK, PSK_NAME, Papers, Stack, shared_key

CIPHERS: Final = {
    0xC02B: "AES-128-GCM",
    0xC02F: "AES-128-GCM",
    0xC02C: "AES-256-GCM",
    0xC030: "AES-256-GCM",
    0xCCA9: "CHACHA20-POLY1305",
    0xCCA8: "CHACHA20-POLY1305",
    0xC0AC: "AES-128-CCM",
    0xC0AD: "AES-256-CCM",
    0xC0AE: "AES-128-CCM-8",
    0xC0AF: "AES-256-CCM-8",
    0x00A8: "AES-128-GCM",
    0x00A9: "AES-256-GCM",
    0xCCAB: "CHACHA20-POLY1305",
    0xC0A4: "AES-128-CCM",
    0xC0A5: "AES-256-CCM",
    0xC0A8: "AES-128-CCM-8",
    0xC0A9: "AES-256-CCM-8",
    0xCCAC: "CHACHA20-POLY1305",
    0xC037: "AES-128-CBC",
    0xC018: "AES-128-CBC",
    0xC023: "AES-128-CBC",
    0xC027: "AES-128-CBC",
    0x003C: "AES-128-CBC",
    0x002F: "AES-128-CBC",
}
"""The cipher of each suite that it has of ours, as its priority strings call it."""
LOUD: Final = ("-d", "4")
"""At this level it logs which suite was chosen."""


def logged_name(name: str) -> str:
    """A suite's name as GnuTLS logs it: `GNUTLS_ECDHE_ECDSA_CHACHA20_POLY1305`."""
    name = name.removeprefix("TLS_").replace("_WITH", "").replace("ECDH_anon", "ECDH_ANON")
    if name.endswith("POLY1305_SHA256"):
        name = name.removesuffix("_SHA256")
    return "GNUTLS_" + (name + "1" if name.endswith("CBC_SHA") else name)


class GnuTLS(Stack):
    title = "GnuTLS"
    suites = MappingProxyType(
        {suite.code: logged_name(suite.name) for suite in OUR_SUITES if suite.code in CIPHERS}
    )
    peculiarities = (
        "Its programs are `gnutls-cli` and `gnutls-serv`. The client does not survive a handshake "
        "with ECDHE_PSK that has succeeded: it ends with a segmentation fault (`signal 11`). The "
        "server does not look at the extended key usage of a client's certificate.",
        "Raw public keys are compared with what was seen before and with nothing else, so its side of "
        "those rows believes whatever it is shown (`--insecure`); ours has pinned the key.",
    )
    ready = "IPv4 0.0.0.0 port"
    reply = b"hello"
    agreed_words = (r"Selected cipher suite: (\w+)",)
    resumed_words = MappingProxyType({We.CLIENT: "This is a resumed session"})
    reconnects_by_itself = True
    master_secret_words = "Options: extended master secret"
    refusal_words = r"(?:Received alert|Error in handshake\(\):|Fatal error:) (.*)"

    def version(self) -> str:
        command = [program("gnutls-cli"), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return "GnuTLS " + said.stdout.split()[1]

    def client(self, case: Case, port: int, papers: Papers) -> Foreign:
        start = ["gnutls-cli", "--udp", "-p", str(port), "127.0.0.1", *LOUD]
        pair = shared_key(case.theirs)
        psk = ["--pskusername", pair[0], "--pskkey", pair[1].hex()] if pair else []
        # It can compare a raw key with nothing but what it saw before.
        again = ["-r"] if case.resumes else []
        trusting = ["--insecure"] if case.theirs.is_raw else []
        return Foreign([*start, *psk, *again, *trusting, *self._options(case, papers)])

    def server(self, case: Case, port: int, papers: Papers) -> Foreign:
        start = ["gnutls-serv", "--udp", "-p", str(port), "--echo", *LOUD]
        psk = ["--pskpasswd", papers["psk.txt"]] if case.theirs.is_psk else []
        ticket = ["--noticket"] if case.resumes is Resumes.SESSION_ID else []
        cookie = ["--nocookie"] if Extra.NO_COOKIE in case.extras else []
        demand = ["--require-client-cert", "--verify-client-cert"]
        if case.theirs.is_raw:
            demand = ["--require-client-cert"]
        if Extra.ASKS_FOR_NO_CERTIFICATE in case.extras:
            demand = ["--disable-client-cert"]
        return Foreign([*start, *psk, *ticket, *cookie, *demand, *self._options(case, papers)])

    def everything(self, port: int) -> Sequence[Foreign]:
        start = ["gnutls-cli", "--udp", "-p", str(port), "127.0.0.1"]
        psk = ["--pskusername", PSK_NAME, "--pskkey", PSK.hex()]
        added = "+PSK:+ECDHE-PSK:+ANON-ECDH:+AES-128-CCM-8:+AES-256-CCM-8:+AES-128-CBC:+SHA256"
        return [Foreign([*start, *psk, "--priority", f"NORMAL:-VERS-ALL:+VERS-DTLS1.2:{added}"])]

    def _options(self, case: Case, papers: Papers) -> Sequence[str]:
        exchange = case.suite.key_exchange.name.replace("_", "-").replace("ECDH-ANON", "ANON-ECDH")
        chosen = f"-KX-ALL:+{exchange}:-CIPHER-ALL:+{CIPHERS[case.suite.code]}"
        if case.resumes is Resumes.SESSION_ID:
            chosen += ":%NO_TICKETS"
        if case.suite.is_cbc:
            chosen += ":-MAC-ALL:+SHA1:+SHA256"
        if Extra.MAC_THEN_ENCRYPT in case.extras:
            chosen += ":%NO_ETM"
        if case.theirs.is_raw:
            chosen += ":-CTYPE-ALL:+CTYPE-RAWPK"
        options = ["--priority", f"NORMAL:-VERS-ALL:+VERS-DTLS1.2:{chosen}"]
        if Extra.LIMITS_RECORDS in case.extras:
            options += ["--recordsize", "512"]
        if case.theirs.is_raw:
            options += ["--rawpkfile", papers["raw.pem"], "--rawpkkeyfile", papers["key.pem"]]
        elif not case.theirs.is_psk:
            options += ["--x509cafile", papers["ca.pem"]]
            if case.theirs is not Proof.NOTHING:
                options += ["--x509certfile", papers["cert.pem"], "--x509keyfile", papers["key.pem"]]
        if case.their_datagram_bytes:
            options += ["--mtu", str(case.their_datagram_bytes)]
        return options

    def speak(self, client: Foreign) -> None:
        client.wait_for("Handshake was completed")
        client.write("hello\n")

    def hang_up(self, client: Foreign) -> None:
        client.end_input()
