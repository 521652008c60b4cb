"""The AC's word for every ticket, where an operator wants it; no word, no access (T16)."""

from __future__ import annotations

import asyncio

import aiocoap
import pytest
from publisher_running import client, running_publisher
from publisher_world import NOW, IssuingAC, peer
from small_ac import small_ac
from small_pki import small_pki

from twoway.clock import ManualClock
from twoway.errors import ConfigurationError
from twoway.publisher import load_config
from twoway.publisher.ac_link import ACUnavailable, Reply
from twoway.publisher.introspection import Introspection
from twoway.tickets import TicketReason, TicketRejected
from twoway.trace import ignore

PKI = small_pki()
ASKING = "introspect = true\nfollow = false\nintrospection_holds_for = 60.0"
ASKING_OFTEN = "introspect = true\nfollow = false\nintrospection_holds_for = 0.6"


def questions(ac) -> int:
    return ac.asked.count(("/introspect",))


async def test_a_ticket_that_the_ac_vouches_for_opens_what_it_names_and_is_asked_about_once(tmp_path):
    async with (
        small_ac(PKI.ac) as ac,
        running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=ASKING) as publisher,
        client(PKI.subscriber) as reader,
    ):
        ticket = publisher.ticket(PKI.subscriber)
        for _ in range(3):
            assert (await reader.upload(publisher, ticket)).code is aiocoap.CREATED
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        assert questions(ac) == 1


async def test_a_ticket_that_the_ac_denies_opens_nothing(tmp_path):
    async with (
        small_ac(PKI.ac) as ac,
        running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=ASKING) as publisher,
        client(PKI.subscriber) as reader,
    ):
        ticket = publisher.ticket(PKI.subscriber)
        ac.denied.add(ticket)
        assert (await reader.upload(publisher, ticket)).code is aiocoap.UNAUTHORIZED
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED


async def test_an_answer_about_another_ticket_is_no_yes(tmp_path):
    async with (
        small_ac(PKI.ac) as ac,
        running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=ASKING) as publisher,
        client(PKI.subscriber) as reader,
    ):
        ac.instead = publisher.ticket(PKI.subscriber)
        answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber))
        assert answer.code is aiocoap.UNAUTHORIZED


@pytest.mark.parametrize("code", [aiocoap.FORBIDDEN, aiocoap.UNAUTHORIZED, aiocoap.SERVICE_UNAVAILABLE])
async def test_an_ac_that_answers_with_an_error_means_no_access(tmp_path, code):
    async with (
        small_ac(PKI.ac) as ac,
        running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=ASKING) as publisher,
        client(PKI.subscriber) as reader,
    ):
        ac.code = code
        answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber))
        assert answer.code is aiocoap.BAD_REQUEST
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED


async def test_an_ac_that_cannot_be_reached_means_no_access(tmp_path):
    """T16."""
    async with (
        running_publisher(tmp_path, ac_uri="coaps://127.0.0.1:9/token", ac_keys=ASKING) as publisher,
        client(PKI.subscriber) as reader,
    ):
        answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber))
        assert answer.code is aiocoap.BAD_REQUEST
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED


async def test_a_ticket_that_the_ac_begins_to_deny_ends_with_what_runs_on_it(tmp_path):
    async with (
        small_ac(PKI.ac) as ac,
        running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=ASKING_OFTEN) as publisher,
        client(PKI.subscriber) as reader,
    ):
        ticket = publisher.ticket(PKI.subscriber)
        await reader.upload(publisher, ticket)
        await asyncio.sleep(1)  # longer than an answer holds: it is asked for again
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        ac.denied.add(ticket)
        await reader.connection.wait_closed()
        assert publisher.told("rights ended")[-1]["because"] == "unconfirmed"


async def test_while_the_ac_is_silent_a_ticket_counts_as_long_as_its_last_answer_holds(tmp_path):
    """T16."""
    async with (
        small_ac(PKI.ac) as ac,
        running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=ASKING_OFTEN) as publisher,
        client(PKI.subscriber) as reader,
    ):
        await reader.upload(publisher, publisher.ticket(PKI.subscriber))
        ac.code = aiocoap.SERVICE_UNAVAILABLE
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        await reader.connection.wait_closed()
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED


class CountingLink:
    """The way to an AC that is away; counts the attempts."""

    def __init__(self) -> None:
        self.attempts = 0

    async def post(self, path: str, payload: bytes, *, content_format: int) -> Reply:
        self.attempts += 1
        raise ACUnavailable("away")


async def test_uploads_do_not_become_questions_without_bound():
    ac, link, clock = IssuingAC(), CountingLink(), ManualClock(NOW)
    asking = Introspection(link, holds_for=60, monotonic=clock.monotonic, trace=ignore)
    verifier = ac.authority().verifier
    for _ in range(30):
        ticket = verifier.verify_untrusted(ac.ticket(peer("reader")), now=NOW)
        with pytest.raises(TicketRejected) as rejected:
            await asking.require_active(ticket)
        assert rejected.value.reason is TicketReason.UNCONFIRMED
    assert link.attempts == 20
    clock.advance(1)
    for _ in range(30):
        with pytest.raises(TicketRejected):
            await asking.require_active(ticket)
    assert link.attempts == 25


async def test_a_publisher_that_cannot_prove_itself_to_the_ac_cannot_ask_it(tmp_path):
    path = tmp_path / "publisher.toml"
    path.write_text(
        'name = "x"\nlisten = "127.0.0.1:0"\npsk = [{ identity = "a", key_file = "k" }]\n'
        '[ac]\nuri = "coaps://ac.example/token"\ncertificate = "ac.pem"\nintrospect = true\n'
        '[[resource]]\npath = "/host"\nsource = "host"\n'
    )
    with pytest.raises(ConfigurationError, match="'introspect' needs a certificate"):
        load_config(path)
