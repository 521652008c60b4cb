"""The examples run as they stand, each client with each server, with certificates in PEM files."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from foreign import Foreign, identity_files
from small_pki import USAGES, small_pki

from twoway.pki import Role

EXAMPLES = Path(__file__).parents[2] / "examples" / "dtls"
PAPER = EXAMPLES.parents[1] / "docs" / "dtls.md"
PATIENCE = 30


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths of certificate, key and authority for each side."""
    pki = small_pki()
    server = pki.ca.mint("server", hosts=["127.0.0.1"], usages=USAGES[Role.PUBLISHER])
    elsewhere = pki.ca.mint("elsewhere", hosts=["elsewhere.example"], usages=USAGES[Role.PUBLISHER])
    folder = tmp_path_factory.mktemp("credentials")
    written = {
        name: identity_files(credential, folder / name)
        for name, credential in {
            "client": pki.subscriber,
            "server": server,
            "elsewhere": elsewhere,
            "outsider": pki.outsider,
        }.items()
    }
    return {name: [paths["cert"], paths["key"], paths["ca"]] for name, paths in written.items()}


def serving(program, files):
    return Foreign([sys.executable, str(program), "0", *files])


def port_of(server):
    server.wait_for("\n")
    return re.search(r"serving on port (\d+)", server.output).group(1)


def call(style, port, files):
    command = [sys.executable, str(EXAMPLES / f"client_{style}.py"), "127.0.0.1", port, *files]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("server_style", ["asyncio", "blocking"])
def test_every_client_is_answered_by_every_server(files, server_style):
    with serving(EXAMPLES / f"server_{server_style}.py", files["server"]) as server:
        port = port_of(server)
        for client_style in ("asyncio", "blocking", "asyncio"):
            answer = call(client_style, port, files["client"])
            assert "hello, urn:dev:org:32473-subscriber" in answer.stdout, answer
            assert answer.returncode == 0
        refused = call("blocking", port, [*files["outsider"][:2], files["client"][2]])
        assert "unknown_ca" in refused.stdout, refused


@pytest.mark.parametrize("client_style", ["asyncio", "blocking"])
def test_a_server_of_another_name_is_not_spoken_with(files, client_style):
    with serving(EXAMPLES / "server_asyncio.py", files["elsewhere"]) as server:
        answer = call(client_style, port_of(server), files["client"])
        assert "hello" not in answer.stdout
        assert "not this host" in answer.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*asyncio.py")), ids=lambda path: path.name)
def test_what_a_program_needs_is_short(path):
    """Twenty lines from the credentials to the end, without imports and empty lines."""
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    body = [line for line in lines if not re.match(r'"""|import |from ', line)]
    assert len(body) <= 20


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_the_papers_show_the_examples_as_they_are(path):
    assert f"```python\n{path.read_text()}```" in PAPER.read_text()


def test_the_commands_of_the_paper_do_what_it_says(tmp_path):
    """Typed in an empty folder, from the authority to the answer."""
    block = re.search(r"```console\n(.*?)```", PAPER.read_text(), re.DOTALL).group(1)
    commands = re.findall(r"^\$ (.*)$", block, re.MULTILINE)
    *preparations, serve, ask = (shlex.split(command) for command in commands)
    twoway = str(Path(sys.executable).with_name("twoway"))
    for _, *arguments in preparations:
        subprocess.run([twoway, *arguments], cwd=tmp_path, check=True, timeout=PATIENCE, capture_output=True)
    files = [str(tmp_path / name) for name in serve[3:6]]
    with serving(EXAMPLES / Path(serve[1]).name, files) as server:
        said = subprocess.run(
            [sys.executable, str(EXAMPLES / Path(ask[1]).name), "127.0.0.1", port_of(server), *ask[4:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert said.stdout in block, said
    assert said.stdout
