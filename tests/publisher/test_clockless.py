"""Nonces and lives from first sight, for publishers without a good clock (T17, T18), and pins."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

import aiocoap
import pytest
from deployment import until
from publisher_running import PLAIN, client, running_publisher, send_plain
from publisher_world import METER, NOW, IssuingAC, access_control, peer
from small_pki import small_pki

from twoway.errors import ConfigurationError
from twoway.publisher import exi_file
from twoway.publisher.exi_file import ExiFile
from twoway.publisher.holdings import Holdings
from twoway.publisher.refusal import AccessRefused
from twoway.publisher.revocation import RevokedTickets
from twoway.publisher.service import AccessControl
from twoway.tickets import CreationHints, FullSet, TicketReason, TicketRejected, token_hash

PKI = small_pki()
NONCE = "cnonce = true\ncnonce_lifetime = 60\nfollow = false"
SECOND = timedelta(seconds=1)


class TestNonces:
    """T18."""

    async def test_the_hint_carries_one_and_the_ticket_has_to(self, tmp_path):
        async with running_publisher(tmp_path, ac_keys=NONCE) as publisher, client(PKI.subscriber) as reader:
            refused = await reader.get(publisher.uri + "/power")
            nonce = CreationHints.parse_untrusted(refused.payload).cnonce
            assert nonce is not None
            answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber))
            assert answer.code is aiocoap.UNAUTHORIZED
            answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber, cnonce=bytes(32)))
            assert answer.code is aiocoap.UNAUTHORIZED
            answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber, cnonce=nonce))
            assert answer.code is aiocoap.CREATED
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT

    async def test_a_stale_one_is_refused_and_a_ticket_that_was_taken_goes_on(self, tmp_path):
        async with running_publisher(tmp_path, ac_keys=NONCE) as publisher, client(PKI.subscriber) as reader:
            hints = (await reader.get(publisher.uri + "/power")).payload
            nonce = CreationHints.parse_untrusted(hints).cnonce
            await reader.upload(publisher, publisher.ticket(PKI.subscriber, cnonce=nonce))
            publisher.clock.shift = timedelta(seconds=62)
            late = publisher.ticket(PKI.subscriber, cnonce=nonce)
            assert (await reader.upload(publisher, late)).code is aiocoap.UNAUTHORIZED
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT

    async def test_strangers_get_one_over_plain_coap_if_their_request_is_large_enough(self, tmp_path):
        async with running_publisher(tmp_path, ac_keys=NONCE, more=PLAIN) as publisher:
            answer = await send_plain(publisher, code=aiocoap.POST, uri_path=["x"], payload=bytes(60))
            hints = CreationHints.parse_untrusted(answer.payload)
            assert hints.cnonce is not None
            assert (hints.audience, hints.scope) == (None, None)


class Clockless:
    """A publisher with a ledger on a disk, that can be started again."""

    def __init__(self, folder) -> None:
        self.path = folder / "exi"
        self.ac = IssuingAC()
        self.reader = peer("reader")
        self.start()

    def start(self, *revoked: bytes) -> None:
        self.file = ExiFile(self.path)
        authority = self.ac.authority(exi_ledger=self.file.ledger)
        self.revoked = RevokedTickets(monotonic=lambda: 0.0)
        self.revoked.take_full(FullSet(frozenset(revoked)))
        holdings = Holdings(authority, record=self.file.record, revoked=self.revoked)
        self.access = AccessControl(holdings, audience=METER)

    def upload(self, ticket: bytes, at=NOW) -> TicketReason | None:
        try:
            self.access.upload_untrusted(ticket, self.reader, now=at)
        except TicketRejected as rejection:
            return rejection.reason
        return None

    def stands(self, at=NOW) -> bool:
        try:
            self.access.require_standing(self.reader, now=at)
        except AccessRefused:
            return False
        return True


class TestLifeFromFirstSight:
    """T17."""

    def test_a_ticket_lives_so_many_seconds_from_its_first_upload(self, tmp_path):
        publisher = Clockless(tmp_path)
        ticket = publisher.ac.ticket(publisher.reader, exi=60)
        late = NOW + timedelta(days=20)  # kept back by its holder: that is in the nature of it
        assert publisher.upload(ticket, late) is None
        assert publisher.stands(late + 59 * SECOND)
        assert publisher.upload(ticket, late + 30 * SECOND) is None
        assert not publisher.stands(late + 60 * SECOND)
        assert publisher.upload(ticket, late + 60 * SECOND) is TicketReason.EXPIRED

    def test_pulling_the_plug_gives_no_second_life(self, tmp_path):
        publisher = Clockless(tmp_path)
        ticket = publisher.ac.ticket(publisher.reader, exi=60)
        assert publisher.upload(ticket) is None
        publisher.start()
        assert publisher.upload(ticket) is TicketReason.EXPIRED
        assert publisher.upload(publisher.ac.ticket(publisher.reader, exi=60)) is None

    def test_a_revoked_one_stays_refused_when_its_hash_is_forgotten(self, tmp_path):
        """RFC 9770 section 11.1."""
        publisher = Clockless(tmp_path)
        ticket = publisher.ac.ticket(publisher.reader, exi=60)
        assert publisher.upload(ticket) is None
        publisher.access.holdings.expunge({token_hash(ticket)})
        assert not publisher.stands()
        assert publisher.upload(ticket) is TicketReason.EXPIRED
        assert publisher.upload(publisher.ac.ticket(publisher.reader, exi=60)) is None

    def test_a_revoked_one_that_was_refused_stays_so_after_a_restart(self, tmp_path):
        """The AC lists it no more, for it thinks that it has expired."""
        publisher = Clockless(tmp_path)
        ticket = publisher.ac.ticket(publisher.reader, exi=60)
        publisher.start(token_hash(ticket))
        assert publisher.upload(ticket) is TicketReason.REVOKED
        publisher.start()
        assert publisher.upload(ticket) is TicketReason.EXPIRED

    def test_a_ticket_that_cannot_be_written_down_does_not_count(self, tmp_path):
        publisher = Clockless(tmp_path)
        ticket = publisher.ac.ticket(publisher.reader, exi=60)
        publisher.path.unlink()
        publisher.path.mkdir()
        (publisher.path / "in the way").touch()
        assert publisher.upload(ticket) is TicketReason.NOT_RECORDED
        assert TicketReason.NOT_RECORDED.response_code == (5, 3)
        assert not publisher.stands()

    async def test_a_thread_that_comes_late_does_not_undo_a_higher_number(self, tmp_path, monkeypatch):
        publisher, threads = Clockless(tmp_path), []

        async def held_back(*call):
            threads.append(call)

        monkeypatch.setattr(asyncio, "to_thread", held_back)
        for ticket in (publisher.ac.ticket(publisher.reader, exi=60) for _ in range(2)):
            verified = publisher.access.holdings.verify_untrusted(ticket, now=NOW)
            await publisher.file.record_aside(verified)
        for function, content in reversed(threads):
            function(content)
        monkeypatch.undo()
        publisher.start()
        assert publisher.upload(ticket) is TicketReason.EXPIRED

    async def test_others_are_served_while_the_disk_is_waited_for(self, tmp_path, monkeypatch):
        goes_on, asked, write = threading.Event(), threading.Event(), exi_file.write_file
        keys = 'exi_file = "seen"\nfollow = false'
        async with (
            running_publisher(tmp_path, ac_keys=keys, defaults=[PKI.sink.uri]) as publisher,
            client(PKI.subscriber) as reader,
            client(PKI.sink) as sink,
        ):

            def slow(*arguments, **options):
                asked.set()
                assert goes_on.wait(10)
                write(*arguments, **options)

            monkeypatch.setattr(exi_file, "write_file", slow)
            uploading = asyncio.create_task(
                reader.upload(publisher, publisher.ticket(PKI.subscriber, exi=60))
            )
            await until(asked.is_set)
            assert (await sink.get(publisher.uri + "/power")).code is aiocoap.CONTENT
            assert not uploading.done()
            goes_on.set()
            assert (await uploading).code is aiocoap.CREATED

    def test_a_ledger_that_cannot_be_read_stops_the_start(self, tmp_path):
        (tmp_path / "exi").write_bytes(b"something else")
        with pytest.raises(ConfigurationError, match="numbers of tickets"):
            ExiFile(tmp_path / "exi")

    async def test_a_running_publisher_keeps_the_book_of_its_configuration(self, tmp_path):
        keys = 'exi_file = "seen"\nfollow = false'
        async with running_publisher(tmp_path, ac_keys=keys) as publisher, client(PKI.subscriber) as reader:
            answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber, exi=60))
            assert answer.code is aiocoap.CREATED
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
            assert (tmp_path / "seen").stat().st_mode & 0o777 == 0o600
            publisher.clock.shift = timedelta(seconds=61)
            await reader.connection.wait_closed()


class TestPins:
    def test_a_ticket_for_a_certificate_does_not_count_with_another_of_the_same_key(self):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader, certificate=reader.chain[0]), reader, now=NOW)
        access.require_standing(reader, now=NOW)
        for other in (replace(reader, chain=(b"renewed",)), replace(reader, chain=())):
            with pytest.raises(AccessRefused):
                access.require_standing(other, now=NOW)

    async def test_where_a_pin_is_asked_for_a_ticket_without_one_is_refused(self, tmp_path):
        keys = 'pin = "certificate"\nfollow = false'
        async with running_publisher(tmp_path, ac_keys=keys) as publisher, client(PKI.subscriber) as reader:
            answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber))
            assert answer.code is aiocoap.BAD_REQUEST
            leaf = PKI.subscriber.chain[0]
            answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber, certificate=leaf))
            assert answer.code is aiocoap.CREATED
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
