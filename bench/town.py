"""An AC with a registry, policies and grants of the size of a town, as files in a folder.

town = Town.make(folder)
turn = next(town.turns)         # who asks next, and the bytes of the request
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from ac_world import ACWorld, scope
from running_ac import write_config
from small_pki import BOTH, CLIENT_AUTH, Credential

from twoway.ac import AuditLog, Database, Picture, load_config
from twoway.ac.grants import add_grant
from twoway.ac.live import Files, LivePicture
from twoway.clock import SystemClock
from twoway.identity import X509Identity
from twoway.pki import Role
from twoway.policy import LinkedGrant
from twoway.tickets import Confirmation, Method, TokenRequest

POLICIES, SUBSCRIBERS, PUBLISHERS = 1_000, 200, 50
"""Each subscriber has five policies of its own, and a grant by hand at each publisher: 10,000 of them."""
_LIMITS = """
[limits]
burst_per_identity = 1000000
rate_per_identity = 1000000
burst_per_network = 1000000
rate_per_network = 1000000
"""
"""What one address may ask for is not what is measured."""


class Turn(NamedTuple):
    """Somebody who asks."""

    number: int
    """Which of the subscribers."""
    identity: X509Identity
    """As the AC meets it."""
    payload: bytes
    """The request."""


@dataclass(frozen=True)
class Town:
    """The files, and whoever asks."""

    config: Path
    """``ac.toml``."""
    subscribers: list[Credential]
    """In the order in which they take turns."""
    requests: list[Turn]
    """What they ask for: each for each publisher."""
    turns: Iterator[Turn]
    """The same without an end: of ten thousand pairs none comes twice before all have."""

    @classmethod
    def make(cls, folder: Path) -> Town:
        """Write it all."""
        world = ACWorld.make(folder)
        house = {"organisation": "House", "region": "north"}
        subscribers = [
            world.pki.ca.mint(f"s{number}", usages=(CLIENT_AUTH,)) for number in range(SUBSCRIBERS)
        ]
        publishers = [
            world.pki.ca.mint(f"p{number}", hosts=["127.0.0.1"], usages=BOTH) for number in range(PUBLISHERS)
        ]
        for subscriber in subscribers:
            world.certify(subscriber, Role.SUBSCRIBER, house)
        for publisher in publishers:
            world.certify(publisher, Role.PUBLISHER, house)
        own = POLICIES - len(list(world.policies.iterdir()))
        for number in range(own):
            (world.policies / f"site-{number}.cedar").write_text(
                f'@id("site-{number}") permit (principal == Twoway::Subscriber::'
                f'"{subscribers[number % SUBSCRIBERS].uri}", action, resource) '
                f'when {{ resource.path == "/site/{number}" }};'
            )
        sections = (
            f'[[publisher]]\nidentity = "{publisher.uri}"\nresources = [{{ path = "/power" }}]\n'
            for publisher in publishers
        )
        config = write_config(world, more="\n".join(sections) + _LIMITS)
        pairs = list(itertools.product(publishers, subscribers))
        _write_grants(config, pairs)
        identities = [subscriber.identity for subscriber in subscribers]
        requests = [
            Turn(number, identities[number], _request(subscriber, publisher))
            for publisher in publishers
            for number, subscriber in enumerate(subscribers)
        ]
        return cls(config, subscribers, requests, itertools.cycle(requests))

    def picture(self, database: Database) -> Picture:
        """What an AC knows that reads the files."""
        clock = SystemClock()
        files = Files.load(load_config(self.config), clock=clock, entropy=os.urandom)
        audit = AuditLog(database)
        live = LivePicture(files, database, audit, operator="bench", clock=clock, entropy=os.urandom)
        return live.picture


def _write_grants(config: Path, pairs: list[tuple[Credential, Credential]]) -> None:
    database = Database(load_config(config).database)
    try:
        database.transact(
            lambda connection: [
                add_grant(
                    connection,
                    LinkedGrant(
                        grant_id=f"g{number}",
                        principal=subscriber.uri,
                        publisher=publisher.uri,
                        path="/power",
                        methods=frozenset({"GET"}),
                        until=None,
                    ),
                )
                for number, (publisher, subscriber) in enumerate(pairs)
            ]
        )
    finally:
        database.close()


def _request(subscriber: Credential, publisher: Credential) -> bytes:
    return TokenRequest(
        audience=publisher.uri,
        scope=scope(("/power", Method.GET)),
        req_cnf=Confirmation.of_key(subscriber.spki),
    ).encode()
