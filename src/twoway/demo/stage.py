"""The whole performance: deploy, start everybody, play the steps, and clear up."""

from __future__ import annotations

import asyncio
from pathlib import Path

from twoway.clock import Clock
from twoway.demo.deployment import Deployment, deploy
from twoway.demo.narrator import Narrator
from twoway.demo.play import play
from twoway.demo.processes import Actor, Troupe
from twoway.demo.steps import STEPS, Scene
from twoway.errors import NetworkError


async def perform(folder: Path, *, narrator: Narrator, clock: Clock, hold: bool) -> None:
    """Play the demonstration in a folder.

    Args:
        folder: new or empty; holds the deployment afterwards.
        narrator: told everything.
        clock: by which certificates are issued.
        hold: keep everything running after the play, until cancelled.

    Raises:
        StepFailed: a step did not show what it should; the sentence names it.
        TwowayError: the scene could not be set.
    """
    deployment = await asyncio.to_thread(deploy, folder, now=clock.now())
    narrator.open_step(0, "The scene")
    async with Troupe(folder) as troupe:
        sink = await _start_all(troupe, deployment, narrator)
        await play(STEPS, Scene(deployment, sink, narrator, clock), narrator)
        if hold:
            await _hold(troupe, deployment, narrator)


async def _start_all(troupe: Troupe, deployment: Deployment, narrator: Narrator) -> Actor:
    ac = await troupe.start("ac", "ac", "serve", str(deployment.config("ac")))
    narrator.say(f"the AC listens on {deployment.ac_uri} (process {ac.pid})")
    for place in deployment.publishers:
        actor = await troupe.start(place.name, "publisher", "serve", str(deployment.config(place.name)))
        narrator.say(
            f"the publisher {place.name} ({place.credential}) offers {place.resource_uri} "
            f"(process {actor.pid})"
        )
    sink = await troupe.start("sink", "sink", "serve", str(deployment.config("sink")))
    narrator.say(f"the sink follows all three (process {sink.pid})")
    return sink


async def _hold(troupe: Troupe, deployment: Deployment, narrator: Narrator) -> None:
    path = deployment.write_description()
    narrator.open_step(0, "Holding")
    narrator.say(f"everything keeps running until Ctrl-C; {path} says where it is")
    raise NetworkError(await troupe.any_ended())
