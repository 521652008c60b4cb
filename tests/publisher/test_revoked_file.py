"""The list of revoked tickets on the disk: no restart brings a ticket back, whatever became of the file."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from datetime import UTC, datetime
from pathlib import Path

import aiocoap
import pytest
from deployment import until
from hypothesis import given
from hypothesis import strategies as st
from publisher_running import client, running_publisher
from small_ac import small_ac
from small_pki import small_pki

from twoway.errors import ConfigurationError, StorageError
from twoway.publisher import load_config, revoked_file
from twoway.publisher.ac_link import Reply
from twoway.publisher.revocation import MAX_HASHES, RevokedTickets
from twoway.publisher.revocation_watch import RevocationWatch
from twoway.publisher.revoked_file import RevokedFile
from twoway.tickets import FullSet, token_hash

PKI = small_pki()
NOBODY = "coaps://127.0.0.1:9/token"
"""Where no AC is."""
TOKEN_HASHES = st.lists(st.binary(min_size=1, max_size=4).map(token_hash), unique=True, max_size=6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "publisher.revoked"


async def recorded(path: Path, *hashes: bytes) -> Path:
    await RevokedFile(path).record(hashes)
    return path


class TestTheFile:
    def test_a_missing_one_says_that_nothing_was_revoked_and_is_made(self, path):
        file = RevokedFile(path)
        assert (file.hashes, file.is_intact) == ((), True)
        assert path.stat().st_mode & 0o777 == 0o600
        assert RevokedFile(path).is_intact

    @given(TOKEN_HASHES)
    def test_what_was_recorded_is_known_after_a_restart_in_its_order(self, tmp_path_factory, hashes):
        path = tmp_path_factory.mktemp("list") / "revoked"
        asyncio.run(recorded(path, *hashes))
        assert (RevokedFile(path).hashes, RevokedFile(path).is_intact) == (tuple(hashes), True)

    async def test_no_changed_byte_and_no_missing_piece_is_taken_for_a_list(self, path):
        whole = (await recorded(path, token_hash(b"one"), token_hash(b"two"))).read_bytes()
        assert len(whole) == 32 + 2 * 33
        changed = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
        for damaged in [*changed, *(whole[:length] for length in range(len(whole))), whole + b"\x01"]:
            path.write_bytes(damaged)
            file = RevokedFile(path)
            assert (file.hashes, file.is_intact) == ((), False)
            assert path.read_bytes() == damaged, "a second start must not find a list that was made up"

    @pytest.mark.parametrize("listed", [b"\x01" * 34, token_hash(b"x") * (MAX_HASHES + 1)])
    def test_what_is_no_list_that_we_write_is_damaged_whatever_its_digest_says(self, path, listed):
        path.write_bytes(hashlib.sha256(listed).digest() + listed)
        assert not RevokedFile(path).is_intact

    async def test_the_longest_list_fits(self, path):
        hashes = [b"\x01" + number.to_bytes(32) for number in range(MAX_HASHES)]
        assert len(RevokedFile(await recorded(path, *hashes)).hashes) == MAX_HASHES

    def test_one_that_cannot_be_written_stops_the_start_and_says_what_to_do(self, tmp_path):
        with pytest.raises(ConfigurationError, match="'revoked_file'"):
            RevokedFile(tmp_path / "no such folder" / "revoked")

    async def test_what_is_added_while_the_disk_is_busy_is_on_it_when_the_second_caller_returns(
        self, path, monkeypatch
    ):
        file, listed = RevokedFile(path), [token_hash(b"one")]
        disk = Disk(monkeypatch)
        first = asyncio.create_task(file.record(listed))
        await until(disk.is_asked)
        listed.append(token_hash(b"two"))
        second = asyncio.create_task(file.record(listed))
        disk.goes_on.set()
        await first
        await second
        assert RevokedFile(path).hashes == tuple(listed)

    async def test_a_disk_that_hangs_is_not_waited_for_and_catches_up(self, path, monkeypatch):
        file, disk = RevokedFile(path), Disk(monkeypatch)
        with pytest.raises(StorageError, match="too long"):
            async with asyncio.timeout(2):
                await file.record([token_hash(b"one")])
        disk.goes_on.set()
        await file.record([token_hash(b"one")])
        assert RevokedFile(path).hashes == (token_hash(b"one"),)


class Disk:
    """Writes when it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.goes_on, self._asked = threading.Event(), threading.Event()
        self.is_asked = self._asked.is_set
        self._write = revoked_file.write_file
        monkeypatch.setattr(revoked_file, "write_file", self.write)

    def write(self, *arguments: object, **options: object) -> None:
        self._asked.set()
        assert self.goes_on.wait(10)
        self._write(*arguments, **options)


class TestTheList:
    def test_what_is_known_of_old_is_revoked_and_no_news(self):
        old, new = token_hash(b"old"), token_hash(b"new")
        revoked = RevokedTickets(monotonic=lambda: 0.0, known=[old])
        assert old in revoked
        assert revoked.take_full(FullSet(frozenset({old, new}))) == {new}
        assert list(revoked) == [old, new]

    def test_what_the_ac_lists_still_is_not_dropped_for_room_because_it_was_known_of_old(self):
        known = [token_hash(bytes([number])) for number in range(3)]
        revoked = RevokedTickets(monotonic=lambda: 0.0, known=known, capacity=3)
        revoked.take_full(FullSet(frozenset({known[0], token_hash(b"new")})))
        assert set(revoked) == {known[0], known[2], token_hash(b"new")}

    def test_where_the_list_is_lost_nothing_counts_until_the_ac_has_told_it(self):
        revoked = RevokedTickets(monotonic=lambda: 0.0, is_known=False)
        assert not revoked.is_fresh
        revoked.take_full(FullSet(frozenset()))
        assert revoked.is_fresh


class Told:
    """A way to an AC that lists one ticket."""

    def __init__(self, listed: bytes) -> None:
        self._answer = FullSet(frozenset({listed}), 0).encode()

    async def get(self, path: str, *, content_format: int) -> Reply:
        return Reply(self._answer, content_format, False, datetime.now(UTC))


class TestTheOrder:
    @pytest.fixture(autouse=True)
    def _place(self, path: Path) -> None:
        self.path, self.file, self.course = path, RevokedFile(path), []

    def note(self, what: str) -> None:
        """Write down what happened, and how many hashes a restart would find then."""
        self.course.append((what, len(self.path.read_bytes()[32:]) // 33))

    async def learn(self) -> None:
        watch = RevocationWatch(
            Told(token_hash(b"ticket")),
            RevokedTickets(monotonic=lambda: 0.0),
            file=self.file,
            on_revoked=lambda new: self.note("effect"),
            interval=3600.0,
            trace=lambda event: self.note(event.name),
        )
        async with asyncio.timeout(2):
            await watch.ask()

    async def test_a_revocation_has_its_effect_at_once_and_is_on_the_disk_when_that_is_told(self):
        await self.learn()
        assert self.course == [("tickets revoked", 0), ("effect", 0), ("revoked tickets recorded", 1)]

    async def test_a_disk_that_hangs_delays_neither_the_effect_nor_what_comes_next(self, monkeypatch):
        disk = Disk(monkeypatch)
        await self.learn()
        disk.goes_on.set()
        assert self.course == [("tickets revoked", 0), ("effect", 0), ("revoked tickets not recorded", 0)]


class TestARunningPublisher:
    async def test_keeps_its_list_beside_its_configuration_unless_told_otherwise(self, tmp_path):
        async with running_publisher(tmp_path, ac_uri=NOBODY):
            assert RevokedFile(tmp_path / "publisher.revoked").hashes == ()
        config = tmp_path / "publisher.toml"
        config.write_text(config.read_text().replace("[ac]\n", '[ac]\nrevoked_file = "state/list"\n'))
        assert load_config(config).ac.revoked_file == tmp_path / "state" / "list"

    @pytest.mark.parametrize(
        "changes", [{"ac_keys": "follow = false"}, {"with_ac": False, "defaults": [PKI.sink.uri]}]
    )
    async def test_that_follows_no_ac_keeps_none(self, tmp_path, changes):
        async with running_publisher(tmp_path, **changes):
            assert not (tmp_path / "publisher.revoked").exists()

    async def test_whose_list_is_damaged_honours_no_ticket_until_the_ac_has_told_it_anew(self, tmp_path):
        (tmp_path / "publisher.revoked").write_bytes(bytes(98))
        async with (
            small_ac(PKI.ac) as ac,
            client(PKI.subscriber) as reader,
            client(PKI.sink) as sink,
        ):
            ac.code = aiocoap.SERVICE_UNAVAILABLE
            async with running_publisher(
                tmp_path, ac_uri=ac.uri, ac_keys="poll_interval = 0.2", defaults=[PKI.sink.uri]
            ) as publisher:
                ((told,),) = [event.values() for event in publisher.told("revoked tickets unknown")]
                assert "is damaged" in told
                assert "let the publisher reach its AC" in told
                ticket, good = publisher.ticket(PKI.subscriber), publisher.ticket(PKI.subscriber)
                ac.revoke(token_hash(ticket))
                await reader.upload(publisher, ticket)
                assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED
                assert publisher.told("request refused")[-1]["because"] == "revocations_unknown"
                assert (await sink.get(publisher.uri + "/power")).code is aiocoap.CONTENT
                ac.code = None
                await until(lambda: publisher.told("tickets revoked"))
                assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED
                await reader.upload(publisher, good)
                assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        file = RevokedFile(tmp_path / "publisher.revoked")
        assert (file.is_intact, file.hashes) == (True, (token_hash(ticket),))

    async def test_whose_disk_refuses_ends_what_is_revoked_all_the_same_and_says_so(self, tmp_path):
        file = tmp_path / "publisher.revoked"
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys="poll_interval = 0.2") as publisher,
            client(PKI.subscriber) as reader,
        ):
            await until(lambda: ("/revoke/trl",) in ac.asked)
            file.unlink()
            file.mkdir()
            (file / "in the way").touch()
            ticket = publisher.ticket(PKI.subscriber)
            await reader.upload(publisher, ticket)
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
            ac.revoke(token_hash(ticket))
            await reader.connection.wait_closed()
            await until(lambda: publisher.told("revoked tickets not recorded"))
            (file / "in the way").unlink()
            file.rmdir()
            await until(file.is_file)
            assert RevokedFile(file).hashes == (token_hash(ticket),)
