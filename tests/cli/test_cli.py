"""The command as a person meets it: help, results, one sentence and the right status for every mistake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from twoway.ac import Database, load_config
from twoway.cli.app import app
from twoway.errors import CallerError, ConfigurationError

PATIENCE = 30


def twoway(*arguments: str, cwd=None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "twoway", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=PATIENCE,
        env={**os.environ, "COLUMNS": "200", **environment},
    )


def commands(group=None, path=()):
    """Every command that the program has, by its words."""
    group = group or typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


ALL_COMMANDS = list(commands())


def test_these_are_the_commands():
    assert {" ".join(words) for words in ALL_COMMANDS} == {
        "ca init",
        "ca issue",
        "ca request",
        "ac serve",
        "ac audit show",
        "ac reload",
        "ac rotate",
        "ac secret add",
        "ac secret remove",
        "ac audit verify",
        "ac audit export",
        "ac check",
        "ac grant",
        "ac revoke",
        "ac list",
        "ac policy lint",
        "ac policy test",
        "ac tickets list",
        "ac tickets revoke",
        "publisher serve",
        "sink serve",
        "sink readings",
        "get",
        "observe",
        "demo",
    }


@pytest.mark.parametrize("words", ALL_COMMANDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(words):
    result = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"twoway {' '.join(words)}" in result.output
    assert "--json" in result.output


@pytest.fixture
def home(tmp_path):
    assert twoway("ca", "init", str(tmp_path / "ca")).returncode == 0
    return tmp_path / "ca"


def test_an_identity_is_issued_as_a_folder(home):
    words = ["ca", "issue", str(home), "meter-1", "--role", "publisher", "--host", "127.0.0.1"]
    result = twoway(*words, "--attr", "region=zurich", "--json")
    assert result.returncode == 0
    said = json.loads(result.stdout)
    assert said["identity"] == "urn:dev:org:32473-meter-1"
    folder = home / "identities" / "meter-1"
    assert sorted(path.name for path in folder.iterdir()) == ["ca.pem", "cert.pem", "key.pem"]
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    ledger = [json.loads(line) for line in (home / "issued.jsonl").read_text().splitlines()]
    assert ledger[-1]["attributes"] == {"region": "zurich"}


def test_a_request_made_elsewhere_is_certified_without_its_key(home, tmp_path):
    arguments = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "k.pem", "-out", "r.pem", "-subj"]
    subprocess.run(["openssl", *arguments, "/CN=whatever"], cwd=tmp_path, check=True, capture_output=True)
    words = ["ca", "issue", str(home), "tpm-meter", "--role", "publisher", "--csr", str(tmp_path / "r.pem")]
    assert twoway(*words).returncode == 0
    assert not (home / "identities" / "tpm-meter" / "key.pem").exists()


MISTAKES = {
    "no such command": (["fly"], 2, "No such command"),
    "no such authority": (["ca", "issue", "nowhere", "m", "--role", "publisher"], 2, "nowhere"),
    "no such role": (["ca", "issue", "CA", "m", "--role", "king"], 2, "king"),
    "a name with a space": (["ca", "issue", "CA", "my meter", "--role", "publisher"], 2, "my meter"),
    "an attribute without a value": (
        ["ca", "issue", "CA", "m", "--role", "publisher", "--attr", "region"],
        2,
        "KEY=VALUE",
    ),
    "a key and a request": (
        ["ca", "issue", "CA", "m", "--role", "sink", "--key", "p-256", "--csr", "x"],
        2,
        "--csr",
    ),
    "a request that is not there": (
        ["ca", "issue", "CA", "m", "--role", "sink", "--csr", "x.pem"],
        2,
        "x.pem",
    ),
    "an authority where one is": (["ca", "init", "CA"], 2, "already"),
    "a configuration that is not there": (["ac", "serve", "none.toml"], 2, "none.toml"),
    "a configuration that is no TOML": (["sink", "serve", "broken.toml"], 2, "broken.toml"),
    "a key that nobody knows": (["publisher", "serve", "unknown.toml"], 2, "interfal"),
    "an identity that is not there": (["get", "coaps://127.0.0.1:1/x", "--as", "nobody"], 2, "nobody"),
    "a URI of another scheme": (["get", "http://127.0.0.1/x", "--as", "ALICE"], 2, "coaps"),
    "half an AC": (
        ["get", "coaps://127.0.0.1:1/x", "--as", "ALICE", "--ac", "coaps://h/t"],
        2,
        "--ac-identity",
    ),
    "a key log that cannot be": (
        ["get", "coaps://127.0.0.1:1/x", "--as", "ALICE", "--unsafe-key-log", "no/such/keys.log"],
        2,
        "no/such/keys.log",
    ),
    "a count of none": (["observe", "coaps://127.0.0.1:1/x", "--as", "ALICE", "--count", "0"], 2, "count"),
    "a hash that is none": (["ac", "audit", "verify", "ac.toml", "--noted", "4711"], 2, "--noted"),
    "an AC that has never run": (["ac", "audit", "verify", "ac.toml"], 2, "ac.sqlite"),
    "a sink that has stored nothing": (["sink", "readings", "sink.toml"], 1, "sink.sqlite"),
    "a folder that is not empty": (["demo", "--keep", "CA"], 2, "CA"),
}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workshop")
    assert twoway("ca", "init", "CA", cwd=folder).returncode == 0
    assert (
        twoway("ca", "issue", "CA", "alice", "--role", "subscriber", "--out", "ALICE", cwd=folder).returncode
        == 0
    )
    (folder / "broken.toml").write_bytes(b"\x00\xff not toml")
    (folder / "unknown.toml").write_text('identity = "ALICE"\nlisten = "127.0.0.1:0"\ninterfal = 3\n')
    (folder / "ac.toml").write_text(
        'identity = "ALICE"\nlisten = "127.0.0.1:0"\ndatabase = "ac.sqlite"\npolicies = "CA"\n'
    )
    (folder / "sink.toml").write_text(
        'identity = "ALICE"\ndatabase = "sink.sqlite"\n'
        '[[publisher]]\nuri = "coaps://127.0.0.1:1/x"\nidentity = "urn:dev:org:32473-x"\n'
    )
    return folder


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_gets_one_sentence_and_its_status(workshop, mistake):
    words, status, mention = MISTAKES[mistake]
    result = twoway(*words, cwd=workshop)
    assert result.returncode == status, result.stderr
    assert mention in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    own_words = [line for line in result.stderr.splitlines() if line.startswith("twoway: ")]
    assert len(own_words) == 1 or "Usage:" in result.stderr


def test_a_publisher_that_nobody_runs_is_reported(workshop):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        uri = f"coaps://127.0.0.1:{silent.getsockname()[1]}/x"
        result = twoway("get", uri, "--as", "ALICE", "--timeout", "2", cwd=workshop)
    assert result.returncode == 1
    assert result.stderr.startswith("twoway: ")
    assert len(result.stderr.splitlines()) == 1


def publisher_toml(folder, port):
    path = folder / f"publisher-{port}.toml"
    path.write_text(
        f'name = "urn:dev:org:32473-host"\nlisten = "127.0.0.1:{port}"\n'
        'default_subscribers = ["psk:sink"]\npsk = [{ identity = "sink", key_file = "psk.hex" }]\n'
        '[[resource]]\npath = "/host"\nsource = "host"\n'
    )
    key = folder / "psk.hex"
    key.touch(0o600)
    key.write_text("11" * 16)
    return path


def test_a_busy_port_is_reported(workshop):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as occupant:
        occupant.bind(("127.0.0.1", 0))
        port = occupant.getsockname()[1]
        result = twoway("publisher", "serve", str(publisher_toml(workshop, port)))
    assert result.returncode == 1
    assert str(port) in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_says_when_it_is_ready_and_ends_in_order(workshop, number):
    command = [
        sys.executable,
        "-m",
        "twoway",
        "publisher",
        "serve",
        str(publisher_toml(workshop, 0)),
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        ready = json.loads(server.stdout.readline())
        assert ready["event"] == "ready"
        assert ready["uri"].startswith("coaps://127.0.0.1:")
        server.send_signal(number)
        assert server.wait(PATIENCE) == 0
        assert server.stderr.read() == ""


def test_a_reader_that_goes_away_is_no_fault():
    command = f"{sys.executable} -m twoway --help | head -n 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=PATIENCE)
    assert "Traceback" not in result.stderr


def test_a_fault_of_ours_gets_a_sentence(monkeypatch, capsys):
    from twoway.cli import app as module

    def fail() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(module, "app", fail)
    monkeypatch.delenv("TWOWAY_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "RuntimeError" in said
    assert "secret detail" not in said


def test_what_came_from_a_network_cannot_command_the_terminal():
    from twoway.terminal import printable

    assert "\x1b" not in printable("a\x1b[2Jb\nc")


class TestRights:
    """`ac check` and `ac policy` on the worked building."""

    BUILDING = Path(__file__).parents[2] / "examples" / "building"
    ASKED = ("--publisher", "meter-1", "--resource", "/power", "--at", "2026-03-02T12:00:00Z")

    def check(self, *arguments):
        return twoway("ac", "check", str(self.BUILDING / "ac.toml"), *self.ASKED, *arguments)

    def test_what_is_allowed_ends_with_0_and_names_the_policy(self):
        result = self.check("--subscriber", "tenant-1")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.splitlines()[0] == "allowed by own-flat"

    def test_what_is_denied_ends_with_3_and_says_what_it_takes(self):
        result = self.check("--subscriber", "grid")
        assert (result.returncode, result.stderr) == (3, "")
        assert result.stdout.splitlines()[0] == "denied by grid-sees-no-live-power"
        assert 'now the resource\'s category: "live"' in result.stdout

    def test_the_same_as_json(self):
        result = self.check("--subscriber", "grid", "--json")
        said = json.loads(result.stdout)
        assert result.returncode == 3
        assert (said["decision"], said["policies"]) == ("deny", ["grid-sees-no-live-power"])
        assert said["deciding"][0]["findings"][1]["values"] == {"resource.category": '"live"'}

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--subscriber", "nobody"), "urn:dev:org:32473-nobody is not registered"),
            (("--subscriber", "grid", "--at", "noon"), "'noon' is not a point in time"),
            (("--subscriber", "grid", "--from", "x"), "'x' is not an address"),
            (("--subscriber", "grid", "--resource", "power"), "'power' is not the path of a resource"),
        ],
    )
    def test_what_cannot_be_asked_ends_with_2_and_one_sentence(self, arguments, words):
        result = self.check(*arguments)
        assert result.returncode == 2
        assert result.stderr.startswith(f"twoway: {words}")
        assert result.stderr.count("\n") == 1

    def test_expectations_that_hold_end_with_0(self):
        result = twoway("ac", "policy", "test", str(self.BUILDING / "expected.toml"))
        assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "27 of 27 as expected")

    def test_expectations_that_do_not_hold_end_with_1_and_say_why(self, tmp_path):
        text = (self.BUILDING / "expected.toml").read_text()
        text = text.replace('"ac.toml"', f'"{self.BUILDING / "ac.toml"}"')
        file = tmp_path / "expected.toml"
        file.write_text(text.replace('expect = "allow"', 'expect = "deny"', 1))
        result = twoway("ac", "policy", "test", str(file))
        assert result.returncode == 1
        assert result.stdout.splitlines()[:3] == [
            "DIFFERS: A tenant reads the live power of the own flat",
            "  expected: deny by own-flat",
            "  allowed by own-flat",
        ]
        cases = json.loads(twoway("ac", "policy", "test", str(file), "--json").stdout)
        assert [case["as_expected"] for case in cases].count(False) == 1

    def test_lint_ends_with_0_where_there_is_nothing_to_remark(self):
        result = twoway("ac", "policy", "lint", str(self.BUILDING / "ac.toml"))
        assert (result.returncode, result.stdout) == (0, "nothing to remark\n")

    @pytest.mark.parametrize(
        ("policy", "words"),
        [
            ("permit(principal, action, resource);", "extra.cedar, policy 1: it has no @id"),
            (
                '@id("x") permit(principal, action, resource) when { false };',
                "x: its conditions contradict each other: it can never apply to anybody",
            ),
        ],
    )
    def test_lint_ends_with_1_and_its_remarks(self, tmp_path, policy, words):
        shutil.copytree(self.BUILDING, tmp_path / "building")
        (tmp_path / "building" / "policies" / "extra.cedar").write_text(policy)
        result = twoway("ac", "policy", "lint", str(tmp_path / "building" / "ac.toml"))
        assert (result.returncode, result.stdout.strip()) == (1, words)


class TestGrants:
    """`ac grant`, `ac revoke` and `ac list` on a database that an AC has made."""

    @pytest.fixture
    def config(self, tmp_path):
        shutil.copytree(TestRights.BUILDING, tmp_path / "building")
        config = tmp_path / "building" / "ac.toml"
        Database(load_config(config).database).close()
        return config

    def run(self, *words):
        result = CliRunner().invoke(app, ["ac", *map(str, words)], env={"COLUMNS": "200"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    GRANT = ("--subscriber", "tenant-1", "--publisher", "boiler", "--name", "warmth")
    CHECK = ("--subscriber", "tenant-1", "--publisher", "boiler", "--resource", "/temperature")

    def test_a_grant_permits_until_it_is_taken_back(self, config):
        assert self.run("check", config, *self.CHECK).exit_code == 3
        assert self.run("grant", config, *self.GRANT).stdout == "granted as warmth\n"
        allowed = self.run("check", config, *self.CHECK)
        assert (allowed.exit_code, allowed.stdout) == (0, "allowed by grant:warmth\n")
        assert json.loads(self.run("list", config, "--json").stdout) == [
            {
                "name": "warmth",
                "subscriber": "urn:dev:org:32473-tenant-1",
                "publisher": "urn:dev:org:32473-boiler",
                "resource": None,
                "actions": ["GET"],
                "until": None,
            }
        ]
        assert "warmth" in self.run("list", config).stdout
        taken = self.run("revoke", config, "warmth")
        assert taken.stdout == "warmth is taken back; 0 tickets were revoked with it\n"
        assert self.run("check", config, *self.CHECK).exit_code == 3
        assert json.loads(self.run("list", config, "--json").stdout) == []

    def test_a_grant_ends_when_it_says(self, config):
        self.run("grant", config, *self.GRANT, "--until", "2026-03-01T00:00:00Z")
        before = self.run("check", config, *self.CHECK, "--at", "2026-02-28T23:59:59Z")
        after = self.run("check", config, *self.CHECK, "--at", "2026-03-01T00:00:00Z")
        assert (before.exit_code, after.exit_code) == (0, 3)
        assert "grant:warmth does not apply: it ended at 2026-03-01T00:00:00+00:00" in after.stdout

    @pytest.mark.parametrize(
        ("words", "what"),
        [
            (("--subscriber", "nobody", "--publisher", "boiler"), "nobody is not registered"),
            (("--subscriber", "tenant-1", "--publisher", "nothing"), "nothing is not registered"),
            (
                ("--subscriber", "tenant-1", "--publisher", "boiler", "--resource", "/x"),
                "not offer GET on /x",
            ),
            (
                ("--subscriber", "tenant-1", "--publisher", "boiler", "--action", "PUT"),
                "not offer PUT on any",
            ),
        ],
    )
    def test_a_grant_that_could_never_apply_is_refused(self, config, words, what):
        with pytest.raises(ConfigurationError, match=what):
            self.run("grant", config, *self.GRANT, *words)  # of an option given twice the last counts
        assert json.loads(self.run("list", config, "--json").stdout) == []

    def test_a_name_is_given_once_and_what_is_not_there_is_not_taken_back(self, config):
        self.run("grant", config, *self.GRANT)
        with pytest.raises(CallerError, match="there is a grant called warmth already"):
            self.run("grant", config, *self.GRANT)
        with pytest.raises(CallerError, match="there is no grant called cold"):
            self.run("revoke", config, "cold")

    def test_a_grant_needs_the_database_of_an_ac(self, config):
        load_config(config).database.unlink()
        with pytest.raises(ConfigurationError):
            self.run("grant", config, *self.GRANT)
