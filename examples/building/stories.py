"""The stories of the building: each does what it tells, checks that it came out, leaves things as they were.

For each refusal there is the one command that explains it; it is typed here as an operator would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Final

from aiocoap import GET, UNAUTHORIZED, Message
from scene import ALLOWED, DENIED, Scene

from twoway.demo.party import Party
from twoway.demo.play import Step, StepFailed, expect, refusal_of
from twoway.errors import NetworkError, RefusedError
from twoway.identity import identity_uri
from twoway.subscriber import Handshake, Subscriber
from twoway.subscriber import Step as SubscriberStep
from twoway.tickets import CONTENT_FORMAT_CWT, TokenResponse

PROMISED_SECONDS: Final = 2.0
"""How soon a publisher that runs ends what was revoked."""
FOLLOWING_INTERVAL: Final = 0.5
"""Seconds until a right that was given just now is tried again."""
PATIENCE: Final = 30.0
"""How long a story waits for what has to come, before it says that it did not."""


async def keep_tenants_apart(scene: Scene) -> str:
    """Who lives in flat 1 reads flat 1."""
    async with scene.subscriber("tenant-1") as tenant:
        await tenant.read(scene.building.uri("meter-1", "/power"))
        refusal = await refusal_of(tenant.read(scene.building.uri("meter-2", "/power")))
    why = await scene.explain(refusal)
    expect("flats-are-kept-apart" in why, "another policy decided")
    return "a tenant reads the own meter and no other"


async def bill_without_watching(scene: Scene) -> str:
    """The grid operator needs sums, not lives."""
    async with scene.subscriber("grid") as grid:
        await grid.read(scene.building.uri("meter-1", "/quarters"))
        refusal = await refusal_of(grid.read(scene.building.uri("meter-1", "/power")))
    why = await scene.explain(refusal)
    expect("grid-sees-no-live-power" in why, "another policy decided")
    return "the grid operator reads values of 15 minutes for its bills, and not who is at home"


async def admit_emergencies(scene: Scene) -> str:
    """Rescue does not wait for consent or office hours."""
    async with scene.subscriber("emergency") as emergency:
        await emergency.read(scene.building.uri("meter-2", "/power"))
        await emergency.read(scene.building.uri("lift", "/state"))
    await scene.check("emergency", "meter-2", "/power", expect=ALLOWED, at="2026-01-01T00:00:00Z")
    return "the emergency service reads every flat and the lift, at any time"


async def keep_data_in_its_jurisdiction(scene: Scene) -> str:
    """The broker and the institute have the same certificate of data protection; the law tells them apart."""
    uri = scene.building.uri("meter-1", "/quarters")
    async with scene.subscriber("broker") as broker:
        refusal = await refusal_of(broker.read(uri))
    why = await scene.explain(refusal)
    expect("data-of-A-stays-with-A-and-its-partners" in why, "another policy decided")
    async with scene.subscriber("institute") as institute:
        await institute.read(uri)
    return "what is measured in A goes to the institute of the treaty partner C and not to the broker in B"


async def end_with_consent(scene: Scene) -> str:
    """What a tenant agreed to ends when the tenant says so, not when a ticket expires."""
    config = scene.building.config("ac")
    given = config.read_text()

    async def withdraw() -> None:
        config.write_text(given.replace('consent = "given"', 'consent = "withdrawn"'))
        scene.narrator.say("the tenant of flat 1 withdraws consent; the operator writes it into ac.toml")
        await scene.command("ac", "reload", "ac.toml")
        await revoke_tickets(scene, "institute", "meter-1")

    async with scene.party("institute") as institute:
        await present_ticket(scene, institute, "meter-1", "/quarters")
        seconds = await seconds_until_ended(institute, scene.building.uri("meter-1", "/quarters"), withdraw)
        scene.narrator.say(f"the observation ended with 4.01, {seconds:+.1f} s after the command")
        expect(seconds <= PROMISED_SECONDS, f"it took {seconds:.1f} s")
        response = await ask_for_ticket(scene, institute, "meter-1", "/quarters")
        expect(not response.code.is_successful(), "the AC issued another ticket")
    why = await scene.check("institute", "meter-1", "/quarters", expect=DENIED)
    expect("consent-of-the-flat" in why, "another policy decided")
    config.write_text(given)
    await scene.command("ac", "reload", "ac.toml")
    return "consent is withdrawn while the institute observes: it is told 4.01 and gets nothing more"


async def open_the_lift_in_its_window(scene: Scene) -> str:
    """The maintenance firm has its hours; whoever agrees to more says until when."""
    await scene.check("maintenance", "lift", "/state", expect=ALLOWED, at="2026-03-02T01:30:00Z")
    why = await scene.check("maintenance", "lift", "/state", expect=DENIED, at="2026-03-02T12:00:00Z")
    expect("lift-at-night" in why, "the answer does not name the window")
    until = (scene.clock.now() + timedelta(minutes=5)).isoformat(timespec="seconds")
    right = ("--subscriber", "maintenance", "--publisher", "lift", "--resource", "/state", "--until", until)
    await scene.command("ac", "grant", "ac.toml", *right, "--name", "repair")
    await _read_when_followed(scene, "maintenance", scene.building.uri("lift", "/state"))
    await scene.command("ac", "revoke", "ac.toml", "repair")
    return "the maintenance firm reads the lift in its window, and in five minutes that were granted by hand"


async def revoke_a_ticket(scene: Scene) -> str:
    """A ticket that should not be out there any more is worth nothing within two seconds."""
    uri = scene.building.uri("meter-1", "/power")
    async with scene.party("tenant-1") as tenant:
        ticket = await present_ticket(scene, tenant, "meter-1", "/power")
        seconds = await seconds_until_ended(tenant, uri, lambda: revoke_tickets(scene, "tenant-1", "meter-1"))
        scene.narrator.say(f"the observation ended with 4.01, {seconds:+.1f} s after the command")
        expect(seconds <= PROMISED_SECONDS, f"it took {seconds:.1f} s")
    scene.narrator.say("the same ticket once more, on a new connection:")
    async with scene.party("tenant-1") as tenant:
        response = await upload(scene, tenant, "meter-1", ticket)
        expect(response.code == UNAUTHORIZED, f"a revoked ticket was taken with {response.code}")
    return "a revoked ticket ends what it began, and is never taken again"


async def read_without_certificate(scene: Scene) -> str:
    """The boiler's sensor knows one secret and no certificate; that secret stays with it and the AC."""
    taken: list[SubscriberStep] = []
    async with scene.subscriber("emergency", taken) as emergency:
        await emergency.read(scene.building.uri("boiler", "/temperature"))
    suites = [step.suite for step in taken if isinstance(step, Handshake)]
    expect(len(suites) == 2, f"there were {len(suites)} handshakes")
    expect("ECDSA" in suites[0], "the AC was not shown a certificate")
    expect("PSK" in suites[1], "the sensor was shown something else than a key")
    async with scene.subscriber("tenant-1") as tenant:
        refusal = await refusal_of(tenant.read(scene.building.uri("boiler", "/temperature")))
    await scene.explain(refusal)
    return "who is entitled gets a key that was derived for one ticket, and shakes hands with it"


async def steal_a_ticket(scene: Scene) -> str:
    """A ticket is no bearer's paper."""
    uri = scene.building.uri("meter-1", "/power")
    async with scene.party("tenant-1") as owner, scene.party("tenant-2") as thief:
        response = await ask_for_ticket(scene, owner, "meter-1", "/power")
        ticket = TokenResponse.parse_untrusted(response.payload).access_token
        scene.narrator.say(f"the ticket of tenant-1 ({len(ticket)} bytes) comes into the hands of tenant-2")
        await upload(scene, thief, "meter-1", ticket)
        response = await thief.request(GET, uri)
        expect(response.code == UNAUTHORIZED, f"a stolen ticket was honoured with {response.code}")
        scene.narrator.say("the same ticket on its owner's connection:")
        response = await owner.request(GET, uri)
        expect(response.code.is_successful(), f"its owner could not use it either: {response.code}")
    await scene.check("tenant-2", "meter-1", "/power", expect=DENIED)
    return "a stolen ticket is worthless without the key that it is bound to"


async def lose_the_ac(scene: Scene) -> str:
    """The AC decides who gets a ticket; whoever has one does not need it."""
    uri = scene.building.uri("meter-1", "/power")
    async with scene.subscriber("tenant-1") as tenant, aclosing(tenant.observe(uri)) as readings:
        await anext(readings)
        await scene.ac.stop()
        scene.narrator.say("the AC is stopped")
        for _ in range(2):
            async with asyncio.timeout(PATIENCE):
                await anext(readings)
        async with scene.subscriber("tenant-2") as late:
            failure = await _failure_of(late, scene.building.uri("meter-2", "/power"))
        scene.narrator.say(f"who comes without a ticket: {failure}")
    await scene.restart_ac()
    async with scene.subscriber("tenant-2") as tenant:
        await tenant.read(scene.building.uri("meter-2", "/power"))
    return "without the AC running tickets go on and new ones are not issued; nobody gets in instead"


STORIES: Final = (
    Step("Tenants are kept apart", keep_tenants_apart),
    Step("The grid operator bills and does not watch", bill_without_watching),
    Step("The emergency service reads everything, at any time", admit_emergencies),
    Step("Data stays in its jurisdiction and with its treaty partner", keep_data_in_its_jurisdiction),
    Step("Consent is withdrawn while somebody observes", end_with_consent),
    Step("The maintenance firm has its window", open_the_lift_in_its_window),
    Step("A ticket is revoked while it is used", revoke_a_ticket),
    Step("A sensor without a certificate is read", read_without_certificate),
    Step("A stolen ticket is worthless", steal_a_ticket),
    Step("The AC cannot be reached", lose_the_ac),
)


async def ask_for_ticket(scene: Scene, party: Party, publisher: str, path: str) -> Message:
    """Ask the AC by hand and return its response."""
    return await party.ask_for_ticket(scene.building.uri("ac", "/token"), identity_uri(publisher), path)


async def present_ticket(scene: Scene, party: Party, publisher: str, path: str) -> bytes:
    """Get a ticket, bring it to its publisher, and return it."""
    response = await ask_for_ticket(scene, party, publisher, path)
    expect(response.code.is_successful(), f"the AC answered {response.code}")
    ticket = TokenResponse.parse_untrusted(response.payload).access_token
    response = await upload(scene, party, publisher, ticket)
    expect(response.code.is_successful(), f"the publisher answered {response.code}")
    return ticket


async def upload(scene: Scene, party: Party, publisher: str, ticket: bytes) -> Message:
    """Bring a ticket to a publisher and return what it says to it."""
    return await party.post(scene.building.uri(publisher, "/authz-info"), ticket, CONTENT_FORMAT_CWT)


async def revoke_tickets(scene: Scene, subscriber: str, publisher: str) -> None:
    """Revoke what a subscriber has for a publisher."""
    whose = ("--subscriber", subscriber, "--publisher", publisher)
    await scene.command("ac", "tickets", "revoke", "ac.toml", *whose)


async def seconds_until_ended(party: Party, uri: str, act: Callable[[], Awaitable[None]]) -> float:
    """Observe, act while notifications come, and say how long after that the observation ended with 4.01.

    Returns:
        seconds; negative where it ended before the act did.
    """
    async with aclosing(party.observe(uri)) as responses:
        for _ in range(2):
            response = await anext(responses)
            expect(response.code.is_successful(), f"the publisher answered {response.code}")
        ending = asyncio.create_task(_end_of(responses))
        try:
            await act()
            acted = time.monotonic()
            async with asyncio.timeout(PATIENCE):
                return await ending - acted
        finally:
            ending.cancel()
            await asyncio.wait([ending])


async def _end_of(responses: AsyncIterator[Message]) -> float:
    """Wait for the 4.01 and return when it came."""
    async for response in responses:
        if not response.code.is_successful():
            expect(response.code == UNAUTHORIZED, f"the observation ended with {response.code}")
            return time.monotonic()
    raise StepFailed("the observation ended without a word")


async def _read_when_followed(scene: Scene, name: str, uri: str) -> None:
    """Read with a right that was given just now: the AC follows within a second, and people type slower."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                async with scene.subscriber(name) as subscriber:
                    await subscriber.read(uri)
            except RefusedError:
                await asyncio.sleep(FOLLOWING_INTERVAL)
            else:
                return


async def _failure_of(subscriber: Subscriber, uri: str) -> NetworkError:
    try:
        await subscriber.read(uri)
    except NetworkError as failure:
        return failure
    raise StepFailed("it was let in")
