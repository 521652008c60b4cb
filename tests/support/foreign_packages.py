"""The stacks that come as Python packages: Mbed TLS in MicroPython, and tinydtls in DTLSSocket.

Their programs are ours, tests/interop/peers/mbedtls.py and tests/interop/peers/tinydtls.py; each runs as a
process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from foreign import Foreign, package
from foreign_cases import Case, Extra, Proof
from foreign_stack import PSK, PSK_NAME, Papers, Stack, shared_key

PROGRAMS: Final = Path(__file__).parents[1] / "interop" / "peers"

MBEDTLS_NAMES: Final = {
    0xC02B: "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
    0xC02F: "TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256",
    0xC02C: "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384",
    0xC030: "TLS-ECDHE-RSA-WITH-AES-256-GCM-SHA384",
    0x00A8: "TLS-PSK-WITH-AES-128-GCM-SHA256",
    0x00A9: "TLS-PSK-WITH-AES-256-GCM-SHA384",
    0xC023: "TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA256",
    0xC027: "TLS-ECDHE-RSA-WITH-AES-128-CBC-SHA256",
    0x003C: "TLS-RSA-WITH-AES-128-CBC-SHA256",
    0x002F: "TLS-RSA-WITH-AES-128-CBC-SHA",
}
"""What it calls those of our suites that it lists."""


def environment(name: str) -> dict[str, str]:
    """Let a process see a package of build/peers."""
    return {"PYTHONPATH": str(package(name)), "PYTHONUNBUFFERED": "1"}


class MbedTLS(Stack):
    title = "Mbed TLS"
    suites = MBEDTLS_NAMES
    peculiarities = (
        "In MicroPython's Unix port, whose `tls` module runs `tests/interop/peers/mbedtls.py`. It "
        "sends its leaf without the issuing CA, no close_notify, and no extended master secret: we "
        "allow that by name (`unsafe_allow_missing_extended_master_secret`).",
    )
    ready = "listening"
    reply = b"echo: hello"
    sends_leaf_only = True
    lacks_extended_master_secret = True
    says_goodbye = False
    agreed_words = (r"suite: (\S+)",)
    refusal_words = r"failed:\s+(?:\(-\d+, ')?(\w[^\n']+)"
    program = "micropython"
    """What the command below is elsewhere."""
    command = (sys.executable, "-m", "micropython_unix")

    def version(self) -> str:
        said = subprocess.run(
            [*self.command, "-c", "import tls; print(tls.MBEDTLS_VERSION)"],
            env=environment("mbedtls"),
            capture_output=True,
            text=True,
            timeout=20,
        )
        return said.stdout.strip()

    def client(self, case: Case, port: int, papers: Papers) -> Foreign:
        return self._run("client", case, port, papers)

    def server(self, case: Case, port: int, papers: Papers) -> Foreign:
        return self._run("server", case, port, papers)

    def everything(self, port: int) -> Sequence[Foreign]:
        start = [*self.command, str(PROGRAMS / "mbedtls.py"), "client", str(port)]
        psk = [f"identity={PSK_NAME}", f"psk={PSK.hex()}"]
        return [Foreign(start, environment("mbedtls")), Foreign([*start, *psk], environment("mbedtls"))]

    def _run(self, role: str, case: Case, port: int, papers: Papers) -> Foreign:
        arguments = [*self.command, str(PROGRAMS / "mbedtls.py"), role, str(port)]
        return Foreign([*arguments, *self._options(case, papers)], environment("mbedtls"))

    def _options(self, case: Case, papers: Papers) -> Sequence[str]:
        options = [f"suite={MBEDTLS_NAMES[case.suite.code]}"]
        pair = shared_key(case.theirs)
        if pair:
            return [*options, f"identity={pair[0]}", f"psk={pair[1].hex()}"]
        if Extra.ASKS_FOR_NO_CERTIFICATE not in case.extras:
            options.append(f"ca={papers['ca.der']}")
        if case.theirs is not Proof.NOTHING:
            options += [f"cert={papers['cert.der']}", f"key={papers['key.der']}"]
        return options


class TinyDTLS(Stack):
    title = "tinydtls"
    peculiarities = (
        "In the extension module DTLSSocket, which runs `tests/interop/peers/tinydtls.py` and gives "
        "it nothing but a pre-shared key. It says no more than that it is connected.",
    )
    # It says no more than that it is connected.
    suites = MappingProxyType(dict.fromkeys((0xC0A4, 0xC0A8), "event: 0x01de"))
    ready = "listening"
    reply = b"echo: hello"
    agreed_words = (r"(event: 0x01de)",)
    refusal_words = r"(event: \S+ level 2)"

    def version(self) -> str:
        folder = package("tinydtls")
        (record,) = folder.glob("dtlssocket-*.dist-info")
        return "DTLSSocket " + record.name.removeprefix("dtlssocket-").removesuffix(".dist-info")

    def client(self, case: Case, port: int, papers: Papers) -> Foreign:
        return self._run("client", case, port)

    def server(self, case: Case, port: int, papers: Papers) -> Foreign:
        return self._run("server", case, port)

    def everything(self, port: int) -> Sequence[Foreign]:
        return [self._start("client", port, PSK_NAME, PSK)]

    def _run(self, role: str, case: Case, port: int) -> Foreign:
        pair = shared_key(case.theirs)
        assert pair is not None
        return self._start(role, port, *pair)

    def _start(self, role: str, port: int, name: str, key: bytes) -> Foreign:
        program = [sys.executable, str(PROGRAMS / "tinydtls.py")]
        return Foreign([*program, role, str(port), name, key.hex()], environment("tinydtls"))
