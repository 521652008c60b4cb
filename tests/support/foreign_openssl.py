"""OpenSSL: `openssl s_client` and `openssl s_server`."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from foreign import Foreign, program
from foreign_cases import Case, Extra, Proof, Resumes, We
from foreign_stack import PSK, Papers, Stack, shared_key

IP_AND_UDP_BYTES: Final = 28
"""-mtu counts these headers, too."""

NAMES: Final = {
    0xC02B: "ECDHE-ECDSA-AES128-GCM-SHA256",
    0xC02F: "ECDHE-RSA-AES128-GCM-SHA256",
    0xC02C: "ECDHE-ECDSA-AES256-GCM-SHA384",
    0xC030: "ECDHE-RSA-AES256-GCM-SHA384",
    0xCCA9: "ECDHE-ECDSA-CHACHA20-POLY1305",
    0xCCA8: "ECDHE-RSA-CHACHA20-POLY1305",
    0xC0AC: "ECDHE-ECDSA-AES128-CCM",
    0xC0AD: "ECDHE-ECDSA-AES256-CCM",
    0xC0AE: "ECDHE-ECDSA-AES128-CCM8",
    0xC0AF: "ECDHE-ECDSA-AES256-CCM8",
    0x00A8: "PSK-AES128-GCM-SHA256",
    0x00A9: "PSK-AES256-GCM-SHA384",
    0xCCAB: "PSK-CHACHA20-POLY1305",
    0xC0A4: "PSK-AES128-CCM",
    0xC0A5: "PSK-AES256-CCM",
    0xC0A8: "PSK-AES128-CCM8",
    0xC0A9: "PSK-AES256-CCM8",
    0xCCAC: "ECDHE-PSK-CHACHA20-POLY1305",
    0xC037: "ECDHE-PSK-AES128-CBC-SHA256",
    0xC018: "AECDH-AES128-SHA",
    0xC023: "ECDHE-ECDSA-AES128-SHA256",
    0xC027: "ECDHE-RSA-AES128-SHA256",
    0x003C: "AES128-SHA256",
    0x002F: "AES128-SHA",
}
"""What `openssl ciphers` calls the suites that we have."""


class OpenSSL(Stack):
    title = "OpenSSL"
    suites = NAMES
    peculiarities = (
        "Its programs are `openssl s_client` and `openssl s_server`. The server takes any name with "
        "the one key that it was given. All suites are at its disposal (`@SECLEVEL=0`): newer "
        "versions than 3.0 leave out 8-byte tags otherwise.",
        "A wrong pre-shared key makes it silent, and so it is with every stack here: what cannot be "
        "decrypted is dropped. We say `decrypt_error` instead, for a wrong key as for an unknown "
        "name.",
    )
    ready = "ACCEPT"
    agreed_words = (
        r"(?:Cipher|CIPHER) is ([\w-]+)",
        r"Server Temp Key: (\w+)",
    )
    resumed_words = MappingProxyType({We.CLIENT: "Reused, TLSv1.2", We.SERVER: "Reused session-id"})
    ready_again = "DONE"
    master_secret_words = "Extended master secret: yes"
    refusal_words = r"(SSL alert number \d+|(?<=verify error:num=\d\d:).*)"

    def version(self) -> str:
        said = subprocess.run([program("openssl"), "version"], capture_output=True, text=True, timeout=20)
        return " ".join(said.stdout.split()[:2])

    def client(self, case: Case, port: int, papers: Papers) -> Foreign:
        verify = ["-verify_return_error"] if case.suite.key_exchange.uses_certificates else []
        start = ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}"]
        name = shared_key(case.theirs)
        identity = ["-psk_identity", name[0]] if name else []
        # A hello that fits one datagram; servers without memory cannot put a fragmented one together.
        kept = papers.path("session.pem")
        session = ["-sess_in" if kept.exists() else "-sess_out", str(kept)] if case.resumes else []
        limit = ["-maxfraglen", "512"] if Extra.LIMITS_RECORDS in case.extras else []
        small = ["-sigalgs", "RSA+SHA256:ECDSA+SHA256"] if case.their_datagram_bytes else []
        return Foreign([*start, *identity, *session, *limit, *small, *verify, *self._options(case, papers)])

    def server(self, case: Case, port: int, papers: Papers) -> Foreign:
        start = ["openssl", "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}"]
        cookie = [] if Extra.KEEPS_HELLOS in case.extras else ["-listen"]
        demand = ["-Verify", "2", "-verify_return_error"]
        if Extra.ASKS_FOR_NO_CERTIFICATE in case.extras:
            demand = []
        if not case.suite.key_exchange.uses_certificates:
            demand = ["-nocert"]
        return Foreign([*start, *cookie, *demand, *self._options(case, papers)])

    def everything(self, port: int) -> Sequence[Foreign]:
        start = ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-psk", PSK.hex()]
        return [Foreign([*start, "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"])]

    def _options(self, case: Case, papers: Papers) -> Sequence[str]:
        # OpenSSL 3.5 takes 8-byte tags at this level only.
        options = ["-cipher", f"{NAMES[case.suite.code]}:@SECLEVEL=0"]
        pair = shared_key(case.theirs)
        if pair:
            options += ["-psk", pair[1].hex()]
        else:
            options += ["-CAfile", papers["ca.pem"]]
            if case.theirs is not Proof.NOTHING:
                options += ["-cert", papers["cert.pem"], "-cert_chain", papers["chain.pem"]]
                options += ["-key", papers["key.pem"]]
        if case.resumes is Resumes.SESSION_ID:
            options += ["-no_ticket"]
        if Extra.MAC_THEN_ENCRYPT in case.extras:
            options += ["-no_etm"]
        if case.their_datagram_bytes:
            options += ["-mtu", str(case.their_datagram_bytes + IP_AND_UDP_BYTES)]
        return options

    def speak(self, client: Foreign) -> None:
        client.wait_for("Cipher is")
        client.write("hello\n")

    def hang_up(self, client: Foreign) -> None:
        client.write("Q\n")

    def respond(self, server: Foreign) -> None:
        server.wait_for("hello\n")
        server.write("answer\n")
