"""The worked building: every story comes out on the real thing, and fails where it should not come out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import building
import pytest
import pytest_asyncio
import stage
import stories
from narrating import Listener

from twoway.demo.play import StepFailed

LENIENT = '@id("everything")\npermit (principal, action, resource);\n'
PATIENCE = 100

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("the building"),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory):
    """One running building serves all stories; each leaves it as it was."""
    async with stage.running(tmp_path_factory.mktemp("building") / "folder", Listener()) as scene:
        yield scene


@pytest.fixture
def told(scene):
    """What is told in one test."""
    scene.narrator.lines.clear()
    return scene.narrator.lines


async def test_a_tenant_reads_the_own_meter_and_no_other(scene, told):
    await stories.keep_tenants_apart(scene)


async def test_the_grid_operator_reads_what_it_bills_and_no_live_power(scene, told):
    await stories.bill_without_watching(scene)


async def test_the_emergency_service_reads_everything_at_any_time(scene, told):
    await stories.admit_emergencies(scene)


async def test_data_goes_to_the_treaty_partner_and_not_to_the_broker(scene, told):
    await stories.keep_data_in_its_jurisdiction(scene)


async def test_withdrawn_consent_ends_a_running_observation(scene, told):
    await stories.end_with_consent(scene)


async def test_the_maintenance_firm_reads_the_lift_in_its_window(scene, told):
    await stories.open_the_lift_in_its_window(scene)


async def test_a_revoked_ticket_ends_its_observation_and_is_not_taken_again(scene, told):
    await stories.revoke_a_ticket(scene)


async def test_a_sensor_without_a_certificate_is_read_with_a_derived_key(scene, told):
    await stories.read_without_certificate(scene)


async def test_a_stolen_ticket_is_worthless(scene, told):
    await stories.steal_a_ticket(scene)


async def test_where_everything_is_permitted_each_story_of_a_refusal_fails(scene, told):
    policies = scene.building.folder / "policies"
    kept = {path: path.read_text() for path in policies.glob("*.cedar")}
    for path in kept:
        path.unlink()
    (policies / "lenient.cedar").write_text(LENIENT)
    await scene.command("ac", "reload", "ac.toml")
    # What the grid operator holds from another story would not let it ask for more.
    await stories.revoke_tickets(scene, "grid", "meter-1")
    for story in (
        stories.keep_tenants_apart,
        stories.bill_without_watching,
        stories.keep_data_in_its_jurisdiction,
        stories.read_without_certificate,
    ):
        with pytest.raises(StepFailed, match="it was let in"):
            await story(scene)
    (policies / "lenient.cedar").unlink()
    for path, text in kept.items():
        path.write_text(text)
    await scene.command("ac", "reload", "ac.toml")


async def test_an_observation_that_goes_on_after_the_revocation_is_not_taken_for_one_that_ended(scene, told):
    async def do_nothing(*_: object) -> None:
        pass

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stories, "revoke_tickets", do_nothing)
        patched.setattr(stories, "PATIENCE", 1.0)
        with pytest.raises(TimeoutError):
            await stories.revoke_a_ticket(scene)


async def test_without_the_ac_running_tickets_go_on_and_new_ones_are_not_issued(scene, told):
    """The last one on this building: publishers find an AC that was restarted at their next question."""
    await stories.lose_the_ac(scene)


class TestTheOneCommand:
    """`python examples/building/run.py`."""

    def start(self, *options: str, program: Path = building.FILES / "run.py") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(program), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def test_a_folder_with_something_in_it_is_refused(self, tmp_path):
        (tmp_path / "something").touch()
        run = self.start("--folder", str(tmp_path))
        _, complaint = run.communicate(timeout=PATIENCE)
        assert run.returncode == 2
        assert "there is something in it already; name a new or an empty folder" in complaint

    async def test_a_story_that_does_not_come_out_is_named_and_makes_the_exit_status_1(self, tmp_path):
        """The same building, with a policy that permits everything beside the others' forbids taken out."""
        copy = shutil.copytree(building.FILES, tmp_path / "building")
        for path in (copy / "policies").glob("*.cedar"):
            path.unlink()
        (copy / "policies" / "lenient.cedar").write_text(LENIENT)
        run = self.start("--json", "--folder", str(tmp_path / "kept"), program=copy / "run.py")
        told, complaint = run.communicate(timeout=PATIENCE)
        assert run.returncode == 1
        assert complaint == "the building: step 1 (Tenants are kept apart) failed: it was let in\n"
        lines = [json.loads(line) for line in told.splitlines()]
        assert [line for line in lines if "shown" in line] == []
        assert (tmp_path / "kept" / "ac.sqlite").exists()

    async def test_when_it_is_stopped_its_processes_are_gone_and_nothing_came_out(self):
        run = self.start("--json")
        told = iter(run.stdout.readline, "")
        pid = next(int(found[1]) for line in told if (found := re.search(r"\(process (\d+)\)", line)))
        run.terminate()
        run.communicate(timeout=PATIENCE)
        assert run.returncode == 1
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
