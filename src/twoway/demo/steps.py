"""What the demonstration shows, step by step. Each step checks what it claims, or fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiocoap import GET, UNAUTHORIZED, Message

from twoway.ac import AuditEntry, Outcome, load_config, read_audit
from twoway.clock import Clock
from twoway.demo.deployment import REGION_POLICY, Deployment, Place
from twoway.demo.narrator import Narrator
from twoway.demo.party import Party
from twoway.demo.play import Step, expect, refusal_of
from twoway.demo.processes import Actor
from twoway.identity import identity_uri
from twoway.pki import StoredIdentity
from twoway.readings import Record
from twoway.sink import ReadingStore
from twoway.subscriber import ACReference, Reading, Subscriber
from twoway.subscriber.narration import describe
from twoway.tickets import (
    CONTENT_FORMAT_CWT,
    CreationHints,
    TokenResponse,
)

ENOUGH_READINGS: Final = 3
SINK_PATIENCE: Final = 30.0
SHOWN_RECORDS: Final = 3


@dataclass(frozen=True)
class Scene:
    """What a step has to work with."""

    deployment: Deployment
    sink: Actor
    narrator: Narrator
    clock: Clock

    def identity(self, name: str) -> StoredIdentity:
        """Load one of the deployment's identities."""
        return StoredIdentity.load(self.deployment.identity(name))

    def party(self, name: str) -> Party:
        """Let somebody speak freely."""
        return Party(self.identity(name), self.narrator)

    def subscriber(self, name: str) -> Subscriber:
        """Let somebody subscribe properly."""
        folder = self.deployment.identity(name)
        return Subscriber(
            StoredIdentity.load(folder),
            ac=ACReference.load(folder),
            steps=lambda step: self.narrator.say(describe(step)),
            clock=self.clock,
        )


async def refuse_without_ticket(scene: Scene) -> str:
    """1: a publisher refuses whoever has no ticket, and says where to get one."""
    async with scene.party("player") as party:
        response = await party.request(GET, scene.deployment.meter.resource_uri)
        hints = _hints(response)
    scene.narrator.say(f"the hint says: ticket from {hints.as_uri}, for {hints.audience}")
    expect(hints.as_uri == scene.deployment.token_uri, "the hint does not name the AC")
    expect(hints.audience == scene.deployment.meter.identity, "the hint does not name the publisher")
    return "a valid certificate alone reads nothing: 4.01, and where to get a ticket"


async def read_with_ticket(scene: Scene) -> str:
    """2: with a ticket it reads and observes."""
    async with scene.subscriber("player") as subscriber:
        reading = await subscriber.read(scene.deployment.meter.resource_uri)
        _show(scene, reading)
        observed = 0
        observing = subscriber.observe(scene.deployment.meter.resource_uri, count=ENOUGH_READINGS)
        async with aclosing(observing) as readings:
            async for reading in readings:
                observed += 1
                _show(scene, reading)
        expect(observed == ENOUGH_READINGS, f"{observed} readings came instead of {ENOUGH_READINGS}")
        _show(scene, await subscriber.read(scene.deployment.water.resource_uri))
    entry = _latest_decision(scene)
    expect(entry.outcome is Outcome.GRANTED, "the AC's audit does not know the ticket")
    return f"read and observed {observed} readings by ticket; permitted by {', '.join(entry.policies)}"


async def refuse_wrong_region(scene: Scene) -> str:
    """3: the AC refuses a ticket where a policy forbids it, and the audit says which."""
    async with scene.subscriber("wrong-region") as subscriber:
        refusal = await refusal_of(subscriber.read(scene.deployment.meter.resource_uri))
    scene.narrator.say(f"refused: {refusal}")
    entry = _latest_decision(scene)
    expect(entry.outcome is Outcome.REFUSED, "the AC's audit has no refusal")
    expect(entry.requester == identity_uri("wrong-region"), "the audit names another requester")
    expect(REGION_POLICY in entry.policies, "another policy decided")
    scene.narrator.say(f"the AC's audit: {entry.requester} asked for {entry.audience}; {entry.reason}")
    return f"no ticket leaves the region: decided by the policy {', '.join(entry.policies)}"


async def refuse_other_authority(scene: Scene) -> str:
    """4: a certificate of another CA does not get through the handshake."""
    party = scene.party("outsider")
    async with party:
        refusal = await refusal_of(party.connect(scene.deployment.meter.resource_uri))
    ended = [event for event in party.events if event.name == "association closed"]
    expect(len(ended) == 1, "the handshake did not end")
    scene.narrator.say(f"the publisher: {refusal}")
    counts = ended[0].data
    scene.narrator.say(
        f"handshake not completed after {counts['datagrams_sent']} datagrams out and "
        f"{counts['datagrams_received']} in, {counts['bytes_sent']} + {counts['bytes_received']} bytes"
    )
    expect("unknown_ca" in str(refusal), "it was refused for another reason")
    return "nobody of another authority gets through the handshake: no request was ever sent"


async def refuse_foreign_ticket(scene: Scene) -> str:
    """5: somebody else's ticket on one's own connection is worth nothing."""
    meter = scene.deployment.meter
    async with scene.party("player") as owner, scene.party("wrong-region") as thief:
        ticket = await _obtain_ticket(owner, scene, meter)
        scene.narrator.say(f"the owner's ticket ({len(ticket)} bytes) comes into other hands")
        await thief.post(f"{meter.uri}/authz-info", ticket, CONTENT_FORMAT_CWT)
        response = await thief.request(GET, meter.resource_uri)
        expect(response.code == UNAUTHORIZED, f"a foreign ticket was honoured with {response.code}")
        scene.narrator.say("the same ticket on its owner's connection:")
        await owner.post(f"{meter.uri}/authz-info", ticket, CONTENT_FORMAT_CWT)
        response = await owner.request(GET, meter.resource_uri)
        expect(response.code.is_successful(), f"its owner could not use it either: {response.code}")
    return "a ticket works with the key it is bound to, proved in the handshake, and with no other"


async def store_without_ticket(scene: Scene) -> str:
    """6: the sink, a default subscriber, has stored readings of all three without any ticket."""
    database = scene.deployment.config("sink").with_suffix(".sqlite")
    async with asyncio.timeout(SINK_PATIENCE):
        # Another process writes the file, and nobody tells us when.
        while not _has_enough(database, scene.deployment.publishers):  # noqa: ASYNC110
            await asyncio.sleep(0.25)
    for happening in scene.sink.happenings:
        if happening["event"] == "association complete":
            scene.narrator.say(
                f"handshake ({happening['kind']}) of the sink with {happening['peer']}: "
                f"{happening['suite']}, "
                f"{happening['bytes_sent']} + {happening['bytes_received']} bytes"
            )
    with ReadingStore.open_existing(database) as store:
        for count in store.counts():
            latest = store.latest(count.publisher)[0]
            scene.narrator.say(
                f"{count.publisher}: {count.readings} readings stored, "
                f"one of the latest: {latest.name} = {latest.value} {latest.unit or ''}"
            )
    requesters = {entry.requester for entry in _decisions(scene)}
    expect(identity_uri("sink") not in requesters, "the sink asked for a ticket")
    return "the default subscriber reads all three publishers, and never asked for a ticket"


STEPS: Final = (
    Step("A subscriber without a ticket is refused, and told where the AC is", refuse_without_ticket),
    Step("With a ticket of the AC it reads and observes", read_with_ticket),
    Step("A subscriber of the wrong region is refused a ticket", refuse_wrong_region),
    Step("A certificate of another CA does not get through the handshake", refuse_other_authority),
    Step("Somebody else's ticket on one's own connection is worth nothing", refuse_foreign_ticket),
    Step("The sink, as default subscriber, stores readings of all three", store_without_ticket),
)


def _hints(response: Message) -> CreationHints:
    expect(response.code == UNAUTHORIZED, f"the publisher answered {response.code} instead of 4.01")
    return CreationHints.parse_untrusted(response.payload)


async def _obtain_ticket(owner: Party, scene: Scene, place: Place) -> bytes:
    response = await owner.ask_for_ticket(scene.deployment.token_uri, place.identity, place.resource)
    expect(response.code.is_successful(), f"the AC answered {response.code}")
    return TokenResponse.parse_untrusted(response.payload).access_token


def _decisions(scene: Scene) -> Sequence[AuditEntry]:
    rows = read_audit(load_config(scene.deployment.config("ac")).database)
    return [row for row in rows if row.outcome is not Outcome.CHANGED]


def _latest_decision(scene: Scene) -> AuditEntry:
    decisions = _decisions(scene)
    expect(bool(decisions), "the AC's audit is empty")
    return decisions[0]


def _has_enough(database: Path, publishers: Sequence[Place]) -> bool:
    with ReadingStore.open_existing(database) as store:
        stored = {count.publisher: count.readings for count in store.counts()}
    return all(stored.get(place.identity, 0) >= ENOUGH_READINGS for place in publishers)


def _show(scene: Scene, reading: Reading) -> None:
    shown = "; ".join(_figure(record) for record in reading.records[:SHOWN_RECORDS])
    more = len(reading.records) - SHOWN_RECORDS
    scene.narrator.say(f"reading: {shown}" + (f"; and {more} more" if more > 0 else ""))


def _figure(record: Record) -> str:
    name = record.name.split("/", 2)[-1]  # without the publisher and its resource
    return f"{name} = {record.value if record.value is not None else record.string_value} {record.unit or ''}"
