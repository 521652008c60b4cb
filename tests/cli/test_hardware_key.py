"""A certificate for a key that a token keeps, by the commands that a person types."""

from __future__ import annotations

import os
import subprocess
import sys

import hsm
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from foreign import program

from twoway.pki.keys import private_key_to_pem

pytestmark = pytest.mark.peers


@pytest.fixture
def run(tmp_path):
    """Run a program that has tokens of its own."""
    environment = {**os.environ, "SOFTHSM2_CONF": str(hsm.configuration(tmp_path))}

    def in_environment(*words: object) -> str:
        command = [str(word) for word in words]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    return in_environment


def test_a_key_in_a_token_gets_a_certificate(tmp_path, run):
    token = hsm.Token(hsm.module_path(), "commands", tmp_path / "pin")
    token.pin_file.write_text(hsm.PIN)
    token.pin_file.chmod(0o600)
    made = tmp_path / "made.pem"
    made.write_bytes(private_key_to_pem(ec.generate_private_key(ec.SECP256R1())))
    util = program("softhsm2-util")
    run(util, "--init-token", "--free", "--label", token.label, "--so-pin", "9999", "--pin", hsm.PIN)
    run(util, "--import", made, "--token", token.label, "--label", "k", "--id", "01", "--pin", hsm.PIN)
    home, uri, request = tmp_path / "ca", tmp_path / "key.uri", tmp_path / "request.pem"
    uri.write_text(token.uri("k"))
    twoway = (sys.executable, "-m", "twoway")
    run(*twoway, "ca", "init", home)
    assert "twoway ca issue" in run(*twoway, "ca", "request", uri, request)
    run(*twoway, "ca", "issue", home, "meter", "--role", "publisher", "--csr", request)
    folder = home / "identities" / "meter"
    uri.rename(folder / "key.uri")
    load = "from twoway.pki import StoredIdentity; print(StoredIdentity.load(Path(sys.argv[1])).private_key)"
    shown = run(sys.executable, "-c", f"import sys; from pathlib import Path; {load}", folder)
    assert shown.strip() == "<key in a token>"
