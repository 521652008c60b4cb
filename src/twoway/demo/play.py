"""A play: steps in order, each of which shows something on a scene, or fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from twoway.demo.narrator import Narrator
from twoway.errors import RefusedError, TwowayError

SceneT = TypeVar("SceneT")


class StepFailed(TwowayError):
    """A step did not show what it should."""


@dataclass(frozen=True)
class Step(Generic[SceneT]):
    """One step of a play."""

    title: str
    """What it shows."""
    show: Callable[[SceneT], Awaitable[str]]
    """Shows it and says what was shown; raises if it does not come out."""


async def play(steps: Iterable[Step[SceneT]], scene: SceneT, narrator: Narrator) -> None:
    """Play all steps.

    Raises:
        StepFailed: a step did not show what it should; the sentence names it.
    """
    for number, step in enumerate(steps, 1):
        narrator.open_step(number, step.title)
        try:
            narrator.conclude(await step.show(scene))
        except (TwowayError, TimeoutError) as error:
            reason = str(error) or "it took too long"
            raise StepFailed(f"step {number} ({step.title}) failed: {reason}") from error


def expect(is_so: bool, otherwise: str) -> None:
    """Fail the step unless something is so."""
    if not is_so:
        raise StepFailed(otherwise)


async def refusal_of(attempt: Awaitable[object]) -> RefusedError:
    """Return with what an attempt was refused; fail the step if it was not."""
    try:
        await attempt
    except RefusedError as refusal:
        return refusal
    raise StepFailed("it was let in")
