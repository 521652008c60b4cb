"""The demonstration: it shows what it claims, fails when it does not, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from held_demo import HeldDemo

from twoway.clock import SystemClock
from twoway.demo import STEPS, StepFailed, deployment, perform, stage
from twoway.demo.play import Step, expect
from twoway.errors import ConfigurationError

pytestmark = pytest.mark.timeout(240)


def run_demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twoway", "demo", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=200)


def test_every_step_is_shown_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = run_demo("--json")
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["step"] for line in lines if "shown" in line] == list(range(1, len(STEPS) + 1))
    told = {
        number: " ".join(str(line.get("happened")) for line in lines if line["step"] == number)
        for number in range(7)
    }
    assert "4.01 Unauthorized" in told[1]
    assert "/token" in told[1]
    assert told[2].count("notification 2.05") >= 2
    assert "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" in told[2]
    assert "readings-stay-in-their-region" in told[3]
    assert "unknown_ca" in told[4]
    assert "4.01" in told[5]
    assert "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256" in told[6]
    for number in range(1, 7):
        assert "bytes" in told[number]
    assert list(tmp_path.iterdir()) == []


class Silent:
    def open_step(self, number: int, title: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def conclude(self, text: str) -> None:
        pass


async def test_a_step_that_does_not_show_what_it_should_is_named(tmp_path, monkeypatch):
    async def disappoint(scene):
        expect(False, "nothing was seen")
        return "never"

    monkeypatch.setattr(stage, "STEPS", (Step("A step", disappoint),))
    with pytest.raises(StepFailed) as failed:
        await perform(tmp_path / "d", narrator=Silent(), clock=SystemClock(), hold=False)
    assert str(failed.value) == "step 1 (A step) failed: nothing was seen"
    assert failed.value.exit_status == 1


async def test_each_refusal_is_missed_when_it_does_not_happen(tmp_path, monkeypatch):
    """With a policy that permits everything, the step that shows the policy's refusal must fail."""
    real = stage.deploy

    def deploy_lenient(folder, *, now):
        deployment = real(folder, now=now)
        (folder / "policies" / "readings.cedar").write_text(
            '@id("everything")\npermit (principal, action, resource);\n'
        )
        return deployment

    monkeypatch.setattr(stage, "deploy", deploy_lenient)
    with pytest.raises(StepFailed, match="step 3 .*let in"):
        await perform(tmp_path / "d", narrator=Silent(), clock=SystemClock(), hold=False)


@pytest.mark.xdist_group("held demo")
def test_a_held_demonstration_runs_until_it_is_interrupted(tmp_path):
    with HeldDemo(tmp_path / "deployment") as held:
        description = held.description
        assert set(description) == {"ac", "publishers", "identities", "psk"}
        assert {place["credential"] for place in description["publishers"].values()} == {
            "rsa-2048",
            "p-256",
            "psk",
        }
        assert set(description["identities"]) == {"sink", "subscriber", "wrong_region", "outsider"}
        children = held.children()
        assert len(children) == 5
        folder = description["identities"]["subscriber"]
        got = subprocess.run(
            [sys.executable, "-m", "twoway", "get", held.uri("meter"), "--as", folder, "--json"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert got.returncode == 0, got.stderr
        assert json.loads(got.stdout)["peer"] == "urn:dev:org:32473-meter"
        refused = subprocess.run(
            [
                sys.executable,
                "-m",
                "twoway",
                "get",
                held.uri("meter"),
                "--as",
                description["identities"]["wrong_region"],
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert refused.returncode == 3
        assert "readings-stay-in-their-region" in refused.stderr
        observed = subprocess.run(
            [
                sys.executable,
                "-m",
                "twoway",
                "observe",
                held.uri("water"),
                "--as",
                folder,
                "--count",
                "3",
                "--json",
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert observed.returncode == 0, observed.stderr
        assert len(observed.stdout.splitlines()) == 3
        outside = subprocess.run(
            [
                sys.executable,
                "-m",
                "twoway",
                "get",
                held.uri("water"),
                "--as",
                description["identities"]["outsider"],
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert outside.returncode == 3
        assert "unknown_ca" in outside.stderr
        assert held.interrupt() == 0, held.told
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert (tmp_path / "deployment" / "sink.sqlite").exists()


def children() -> list[int]:
    """The processes that this one has started, oldest first."""
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(pid) for pid in path.read_text().split()]


async def test_an_actor_that_ends_while_held_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "STEPS", ())
    before = children()
    task = asyncio.create_task(perform(tmp_path / "d", narrator=Silent(), clock=SystemClock(), hold=True))
    while not (tmp_path / "d" / "demo.json").exists():
        assert not task.done(), task.exception()
        await asyncio.sleep(0.1)
    ac = next(pid for pid in children() if pid not in before)
    os.kill(ac, 9)
    with pytest.raises(Exception, match="the ac ended with status -9"):
        await asyncio.wait_for(task, 30)


async def test_a_missing_package_is_named_with_what_to_install(tmp_path, monkeypatch):
    real = deployment.find_spec
    monkeypatch.setattr(deployment, "find_spec", lambda name: None if name == "psutil" else real(name))
    with pytest.raises(ConfigurationError) as caught:
        await perform(tmp_path / "d", narrator=Silent(), clock=SystemClock(), hold=False)
    assert str(caught.value) == (
        "the demonstration's publishers need psutil; run: pip install 'twoway[demo]'"
    )
    assert not (tmp_path / "d").exists()
