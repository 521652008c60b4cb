"""What the stories have: the building as it runs, its parties, and commands as a person types them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from building import Building
from commands import CommandLine

from twoway.clock import Clock
from twoway.demo import Narrator
from twoway.demo.party import Party
from twoway.demo.play import StepFailed
from twoway.demo.processes import Actor, Troupe
from twoway.errors import RefusedError
from twoway.pki import StoredIdentity
from twoway.subscriber import ACReference, Step, Subscriber
from twoway.subscriber.narration import describe

ALLOWED, DENIED = 0, RefusedError.exit_status
"""How ``twoway ac check`` ends."""


@dataclass
class Scene:
    """The running building."""

    building: Building
    troupe: Troupe
    ac: Actor
    commands: CommandLine
    narrator: Narrator
    clock: Clock

    def identity(self, name: str) -> StoredIdentity:
        """Load somebody's identity."""
        return StoredIdentity.load(self.building.identity(name))

    def subscriber(self, name: str, taken: list[Step] | None = None) -> Subscriber:
        """Let somebody subscribe properly; ``taken`` gets the steps that it takes."""

        def tell(step: Step) -> None:
            self.narrator.say(f"{name}: {describe(step)}")
            if taken is not None:
                taken.append(step)

        ac = ACReference.load(self.building.identity(name))
        return Subscriber(self.identity(name), ac=ac, steps=tell, clock=self.clock)

    def party(self, name: str) -> Party:
        """Let somebody speak freely."""
        return Party(self.identity(name), self.narrator)

    async def restart_ac(self) -> None:
        """Start the AC again after it was stopped."""
        self.ac = await self.troupe.start("ac", "ac", "serve", str(self.building.config("ac")))
        self.narrator.say(f"the AC is started again (process {self.ac.pid})")

    async def command(self, *words: str, ends_with: int = 0) -> str:
        """Type a ``twoway`` command in the building's folder and return what it says.

        Raises:
            StepFailed: it ended with another status.
        """
        status, said = await self.commands.type(*words)
        self.narrator.say(f"$ twoway {shlex.join(words)}")
        for line in said.splitlines():
            self.narrator.say(f"  {line}")
        if status != ends_with:
            raise StepFailed(f"twoway {' '.join(words[:3])} ended with status {status}: {said}")
        return said

    async def explain(self, refusal: RefusedError) -> str:
        """Type the command that a refusal names, as the operator of the AC would, and return its answer.

        Raises:
            StepFailed: it names none, or the command does not confirm the refusal.
        """
        self.narrator.say(f"refused: {refusal}")
        _, named, command = (refusal.remedy or "").partition("twoway ")
        if not named:
            raise StepFailed(f"the refusal does not say how to find out why: {refusal}")
        words = ("ac.toml" if word == "CONFIG" else word for word in shlex.split(command))
        return await self.command(*words, ends_with=DENIED)

    async def check(
        self, subscriber: str, publisher: str, path: str, *, expect: int, at: str | None = None
    ) -> str:
        """Ask why, as an operator would, and return the answer.

        Raises:
            StepFailed: the answer is not the expected one.
        """
        about = ("--subscriber", subscriber, "--publisher", publisher, "--resource", path)
        time = () if at is None else ("--at", at)
        return await self.command("ac", "check", "ac.toml", *about, *time, ends_with=expect)
