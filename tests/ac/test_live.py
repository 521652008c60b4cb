"""The picture that an AC decides on, and how it becomes another one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ac_world import METER, NOW, ACWorld
from running_ac import write_config

from twoway.ac import ACConfig, AuditLog, Database, Registry, add_secret, load_config, rotate_key
from twoway.ac.grants import add_grant, remove_grant
from twoway.ac.live import LEDGERS_INTERVAL, Files, LivePicture
from twoway.ac.sealed_rows import put_secret, remove_secret
from twoway.clock import ManualClock
from twoway.errors import ConfigurationError
from twoway.pki import Role
from twoway.policy import LinkedGrant
from twoway.trace import TraceEvent


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


class Live:
    """An AC's picture on a real database, and the commands that operators type beside it."""

    def __init__(self, world: ACWorld, *, top: str = "") -> None:
        self.path = write_config(world, top=top)
        self.clock = ManualClock(NOW)
        self.database = Database(self.config.database)
        self.events: list[TraceEvent] = []
        files = Files.load(self.config, clock=self.clock, entropy=os.urandom)
        self.live = LivePicture(
            files,
            self.database,
            AuditLog(self.database),
            operator="olga",
            clock=self.clock,
            entropy=os.urandom,
            trace=self.events.append,
        )

    @property
    def config(self) -> ACConfig:
        """What ``ac.toml`` says now."""
        return load_config(self.path)

    @property
    def secrets(self) -> set[str]:
        """With whom the AC knows to share something."""
        return set(self.live.picture.secrets)

    def write(self, *changes: tuple[str, str]) -> None:
        """Change ``ac.toml``."""
        text = self.path.read_text()
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        self.path.write_text(text)

    def add_secret(self, publisher: str = METER) -> None:
        file = self.path.parent / "a.secret"
        add_secret(self.config, publisher, file, operator="olga", clock=self.clock, entropy=os.urandom)

    async def reload(self) -> None:
        await self.live.reload(self.config, operator="olga")


@pytest.fixture
def begin(world: ACWorld) -> Iterator[Callable[..., Live]]:
    begun: list[Live] = []

    def start(*, top: str = "") -> Live:
        begun.append(Live(world, top=top))
        return begun[-1]

    yield start
    for each in begun:
        each.database.close()


SEALED = 'sealing_key = "sealing.key"'


async def test_a_sealing_key_that_is_named_and_not_there_is_made_by_the_start(begin) -> None:
    ac = begin(top=SEALED)
    key = ac.path.parent / "sealing.key"
    assert key.stat().st_mode & 0o777 == 0o600
    ac.add_secret()
    await ac.live.follow()
    assert ac.secrets == {METER}


async def test_a_sealing_key_that_is_named_later_is_made_by_the_command_and_taken_by_a_reload(begin) -> None:
    ac = begin()
    with pytest.raises(ConfigurationError, match='name a file, for instance sealing_key = "sealing.key"'):
        ac.add_secret()
    ac.write(('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:0"\n{SEALED}'))
    ac.add_secret()
    await ac.live.follow()
    assert ac.secrets == set()
    assert [event.name for event in ac.events][-2:] == ["keys not taken", "picture taken"]
    await ac.reload()
    assert ac.secrets == {METER}


async def test_rights_are_followed_by_an_ac_that_cannot_open_a_new_secret(begin) -> None:
    ac = begin()
    grant = LinkedGrant("repair", "urn:dev:org:32473-a", METER, None, frozenset({"GET"}), None)
    ac.database.transact(lambda connection: add_grant(connection, grant))
    await ac.live.follow()
    assert ac.live.picture.policies.grants_between(grant.principal, METER)
    ac.database.transact(lambda connection: put_secret(connection, METER, bytes(60)))
    ac.database.transact(lambda connection: remove_grant(connection, "repair"))
    await ac.live.follow()
    assert not ac.live.picture.policies.grants_between(grant.principal, METER)
    with pytest.raises(ConfigurationError, match="no key to open them is configured"):
        await ac.reload()


async def test_a_secret_that_was_removed_or_replaced_does_not_live_on_beside_one_that_cannot_be_opened(
    begin,
) -> None:
    ac = begin(top=SEALED)
    kept, removed, replaced = METER, "urn:dev:org:32473-removed", "urn:dev:org:32473-replaced"
    for publisher in (kept, removed, replaced):
        ac.add_secret(publisher)
    await ac.live.follow()
    assert ac.secrets == {kept, removed, replaced}
    ac.database.transact(lambda connection: remove_secret(connection, removed))
    ac.database.transact(lambda connection: put_secret(connection, replaced, bytes(60)))
    await ac.live.follow()
    assert ac.secrets == {kept}


async def test_a_sealing_key_that_was_lost_is_not_replaced_while_something_is_sealed_with_it(begin) -> None:
    ac = begin(top=SEALED)
    ac.add_secret()
    key = ac.path.parent / "sealing.key"
    kept = key.rename(key.with_suffix(".kept"))
    with pytest.raises(ConfigurationError, match="is not there; put the file back"):
        ac.add_secret()
    with pytest.raises(ConfigurationError, match="is not there; put the file back"):
        rotate_key(ac.config, operator="olga", clock=ac.clock, entropy=os.urandom)
    assert not key.exists()
    key.write_text("ab" * 32)
    key.chmod(0o600)
    with pytest.raises(ConfigurationError, match=f"the publisher secret of {METER} cannot be opened"):
        ac.add_secret("urn:dev:org:32473-other")
    kept.rename(key)
    ac.add_secret()
    rotate_key(ac.config, operator="olga", clock=ac.clock, entropy=os.urandom)


async def test_beside_a_signing_key_that_was_sealed_with_another_key_nothing_is_sealed(begin) -> None:
    ac = begin(top=SEALED)
    rotate_key(ac.config, operator="olga", clock=ac.clock, entropy=os.urandom)
    ac.clock.advance(ac.config.signing.overlap.total_seconds())
    (ac.path.parent / "sealing.key").write_text("ab" * 32)
    for change in (
        ac.add_secret,
        lambda: rotate_key(ac.config, operator="olga", clock=ac.clock, entropy=os.urandom),
    ):
        with pytest.raises(ConfigurationError, match="the signing key of [0-9a-f]{16} cannot be opened"):
            change()


async def test_a_secret_for_an_ac_that_never_ran_is_refused_in_a_sentence_and_leaves_no_file(
    world: ACWorld,
) -> None:
    path = write_config(world, top=SEALED)
    file = path.parent / "a.secret"
    with pytest.raises(
        ConfigurationError, match="there is no such database; .*or start the AC, which makes it"
    ):
        add_secret(
            load_config(path), METER, file, operator="olga", clock=ManualClock(NOW), entropy=os.urandom
        )
    assert not file.exists()
    assert not (path.parent / "sealing.key").exists()


async def test_numbers_of_drafts_cannot_change_while_the_ac_runs(begin) -> None:
    """Publishers are configured with them, and tickets are in force that hold them."""
    ac = begin()
    ac.path.write_text(f"{ac.path.read_text()}\n[provisional]\nx5t = 8\n")
    with pytest.raises(ConfigurationError, match="'provisional' cannot change while the AC runs"):
        await ac.reload()


async def test_rows_that_a_reload_has_read_do_not_take_the_place_of_later_ones(begin, monkeypatch) -> None:
    """A grant that is taken back while the files are read stays taken back."""
    ac = begin()
    grant = LinkedGrant("repair", "urn:dev:org:32473-a", METER, None, frozenset({"GET"}), None)
    ac.database.transact(lambda connection: add_grant(connection, grant))
    await ac.live.follow()
    loading = Registry.load

    def slow(registry: Registry, **words: str) -> None:
        ac.database.transact(lambda connection: remove_grant(connection, "repair"))
        asyncio.run_coroutine_threadsafe(start_following(), loop).result()
        loading(registry, **words)

    async def start_following() -> None:
        following.append(asyncio.create_task(ac.live.follow()))
        await asyncio.wait(following, timeout=0.3)  # it ends at once if nothing keeps it from it

    loop, following = asyncio.get_running_loop(), []
    monkeypatch.setattr(Registry, "load", slow)
    await ac.reload()
    await asyncio.gather(*following)
    assert not ac.live.picture.policies.grants_between(grant.principal, METER)


async def test_ledgers_are_looked_at_a_few_times_a_second_however_many_ask(begin, world: ACWorld) -> None:
    ac = begin()
    await ac.live.service()
    world.certify(world.unknown, Role.SUBSCRIBER, {"organisation": "House", "region": "north"})
    ac.clock.advance(LEDGERS_INTERVAL / 2)
    await ac.live.service()
    assert ac.live.picture.directory.requester(world.unknown.uri) is None
    ac.clock.advance(LEDGERS_INTERVAL / 2)
    await ac.live.service()
    assert ac.live.picture.directory.requester(world.unknown.uri)
