"""The paper on access control: its tutorial is typed from an empty directory, as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from commands import CommandLine, command_line
from stories import STORIES
from workshop import Workshop, block, blocks_in

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "docs" / "access-control.md"
TUTORIAL, WHOLE = "A building with two tenants", "The whole building"
ATTEMPTS = 20
"""How often commands that come too early are typed again, all together."""
PORTS = ("5684", "5701", "5702")


def tutorial() -> list[str]:
    """The blocks of the tutorial, in the order in which a person types them."""
    text = PAPER.read_text()
    return blocks_in(text[text.index(f"\n## {TUTORIAL}\n") : text.index(f"\n## {WHOLE}\n")], "sh")


class Typist:
    """Types the tutorial in an empty directory and keeps what each command says."""

    def __init__(self, workshop: Workshop, commands: CommandLine) -> None:
        self.workshop = workshop
        self.commands = commands
        self.said: dict[str, str] = {}
        self.tried: list[str] = []

    async def type(self, text: str) -> None:
        """Type a block: servers stay, files are written by the shell, other commands end."""
        if "<<" in text:
            self.workshop.run("bash", "-euc", text)
            return
        for line in text.splitlines():
            if line.split()[2] == "serve":
                self.workshop.serve(line)
            else:
                await self.type_command(line)

    async def type_command(self, line: str) -> None:
        noted = re.search(r"# exit status (\d)", line)
        expected = int(noted[1]) if noted else 0
        _, *words = shlex.split(self.workshop.moved(line), comments=True)
        status, said = await self.commands.type(*words)
        # A running AC follows a grant within a second. People do not type that fast.
        while status != expected and words[0] == "get" and len(self.tried) < ATTEMPTS:
            self.tried.append(line)
            status, said = await self.commands.type(*words)
        assert status == expected, said
        self.said[line] = said

    def answers(self, beginning: str) -> list[str]:
        """What commands that begin so have said, in order."""
        return [said for line, said in self.said.items() if line.startswith(beginning)]


@pytest.mark.timeout(300)
async def test_the_tutorial_can_be_typed_from_an_empty_directory(tmp_path):
    workshop = Workshop(tmp_path, PORTS)
    try:
        async with command_line(tmp_path) as commands:
            typist = Typist(workshop, commands)
            for text in tutorial():
                await typist.type(text)
    finally:
        workshop.close()
    (lint,) = typist.answers("twoway ac policy lint")
    assert lint == "nothing to remark"
    (alice,) = typist.answers("twoway get coaps://localhost:5701/power --as home/identities/alice")
    assert "urn:dev:org:32473-meter-1/power/power " in alice
    (bob,) = typist.answers("twoway get coaps://localhost:5701/power --as home/identities/bob")
    assert "energy-only-by-hand" in bob
    assert "twoway ac check CONFIG --subscriber urn:dev:org:32473-bob" in bob
    (why,) = typist.answers("twoway ac check ac.toml --subscriber bob")
    assert "energy-only-by-hand says: Of what is measured in a flat" in why
    by_grant, taken_back = typist.answers("twoway get coaps://localhost:5701/energy --as home/identities/bob")
    assert "urn:dev:org:32473-meter-1/energy/energy " in by_grant
    assert "default-deny" in taken_back
    (grants,) = typist.answers("twoway ac list")
    assert "holiday" in grants


def test_the_command_that_explains_is_shown_before_the_table_of_refusals():
    text = PAPER.read_text()
    shown = block(PAPER, "sh", "twoway ac check")
    assert text.index("\n## Why was I refused?\n") < text.index(shown) < text.index("\n| answer | by |")


def test_the_paper_lists_the_stories_that_are_played():
    section = PAPER.read_text().split(f"\n## {WHOLE}\n")[1]
    heading, *listed = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)
    assert heading == "story"
    assert listed == [story.title for story in STORIES]
