"""A publisher follows its AC over its own association: revocations and signing keys, on real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import takewhile

import aiocoap
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from publisher_running import client, running_publisher
from small_ac import small_ac
from small_pki import small_pki

from twoway.errors import ConfigurationError
from twoway.publisher import load_config
from twoway.publisher.revocation_watch import DIFFERENCES_IN_A_ROW
from twoway.tickets import token_hash

PKI = small_pki()
SLOW = "poll_interval = 3600.0"
QUICK = "poll_interval = 0.1"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.02)


def asked(ac, path: str) -> list[tuple[str, ...]]:
    return [question for question in ac.asked if question[0] == path]


class TestRevocation:
    async def test_an_observation_ends_with_a_last_refusal_and_the_association_within_two_seconds(
        self, tmp_path
    ):
        """T8."""
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=SLOW) as publisher,
            client(PKI.subscriber) as reader,
        ):
            await until(lambda: asked(ac, "/revoke/trl"))
            ticket = publisher.ticket(PKI.subscriber, "/flow")
            await reader.upload(publisher, ticket)
            request = reader.observe(publisher.uri + "/flow")
            assert (await request.response).code is aiocoap.CONTENT
            connection = reader.connection
            ac.revoke(token_hash(ticket))
            revoked_at = time.monotonic()
            async for notification in request.observation:
                last = notification
                if not last.code.is_successful():
                    break
            assert last.code is aiocoap.UNAUTHORIZED
            assert last.opt.observe is None
            closed = await connection.wait_closed()
            assert time.monotonic() - revoked_at < 2
            assert closed.alert.label == "close_notify"
            assert ac.askers == {publisher.name}
            assert (await reader.upload(publisher, ticket)).code is aiocoap.UNAUTHORIZED
            assert (await reader.get(publisher.uri + "/flow")).code is aiocoap.UNAUTHORIZED

    async def test_a_peer_that_acknowledges_nothing_is_gone_within_two_seconds_as_well(self, tmp_path):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=SLOW) as publisher,
            client(PKI.subscriber) as reader,
        ):
            await until(lambda: asked(ac, "/revoke/trl"))
            ticket = publisher.ticket(PKI.subscriber)
            await reader.upload(publisher, ticket)
            request = reader.observe(publisher.uri + "/power")
            await request.response
            connection = reader.connection
            connection.on_data = lambda data: None  # from now on it hears nothing
            ac.revoke(token_hash(ticket))
            async with asyncio.timeout(2):
                closed = await connection.wait_closed()
            assert closed.alert.label == "close_notify"

    async def test_other_holders_go_on(self, tmp_path):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=SLOW) as publisher,
            client(PKI.subscriber) as reader,
            client(PKI.sink) as other,
        ):
            await until(lambda: asked(ac, "/revoke/trl"))
            ticket = publisher.ticket(PKI.subscriber)
            await reader.upload(publisher, ticket)
            await other.upload(publisher, publisher.ticket(PKI.sink))
            assert (await other.get(publisher.uri + "/power")).code is aiocoap.CONTENT
            ac.revoke(token_hash(ticket))
            await reader.connection.wait_closed()
            assert (await other.get(publisher.uri + "/power")).code is aiocoap.CONTENT

    @pytest.mark.parametrize("has_differences", [True, False])
    async def test_asking_finds_what_a_suppressed_notification_hides(self, tmp_path, has_differences):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=QUICK) as publisher,
            client(PKI.subscriber) as reader,
        ):
            ac.revoke(token_hash(b"somebody else's"))
            await until(lambda: asked(ac, "/revoke/trl"))
            ac.is_muted, ac.has_differences = True, has_differences
            ticket = publisher.ticket(PKI.subscriber)
            await reader.upload(publisher, ticket)
            for number in range(2 * ac.batch):
                ac.revoke(token_hash(bytes([number])))
            ac.revoke(token_hash(ticket))
            await reader.connection.wait_closed()
            assert ("/revoke/trl", "diff=0", "cursor=0") in ac.asked

    async def test_where_the_ac_has_forgotten_changes_the_whole_list_is_asked_for(self, tmp_path):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=QUICK) as publisher,
            client(PKI.subscriber) as reader,
        ):
            ac.revoke(token_hash(b"somebody else's"))
            await until(lambda: asked(ac, "/revoke/trl"))
            ac.is_muted, ac.forgotten = True, 10
            ticket = publisher.ticket(PKI.subscriber)
            await reader.upload(publisher, ticket)
            ac.revoke(token_hash(ticket))
            await reader.connection.wait_closed()
            questions = asked(ac, "/revoke/trl")
            in_vain = questions.index(("/revoke/trl", "diff=0", "cursor=0"))
            assert questions[in_vain + 1] == ("/revoke/trl",)

    async def test_the_whole_list_finds_what_the_changes_conceal(self, tmp_path):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys="poll_interval = 0.05") as publisher,
            client(PKI.subscriber) as reader,
        ):
            ac.revoke(token_hash(b"somebody else's"))
            await until(lambda: asked(ac, "/revoke/trl"))
            ac.is_muted = ac.conceals = True
            ticket = publisher.ticket(PKI.subscriber)
            await reader.upload(publisher, ticket)
            ac.revoke(token_hash(ticket))
            await reader.connection.wait_closed()
            changes = list(takewhile(lambda question: len(question) > 1, asked(ac, "/revoke/trl")[-2::-1]))
            assert len(changes) == DIFFERENCES_IN_A_ROW

    async def test_after_a_question_in_vain_the_whole_list_is_asked_for(self, tmp_path):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=QUICK) as publisher,
        ):
            ac.revoke(token_hash(b"somebody else's"))
            await until(lambda: ("/revoke/trl", "diff=0", "cursor=0") in ac.asked)
            first, ac.code = len(asked(ac, "/revoke/trl")), aiocoap.SERVICE_UNAVAILABLE
            await until(lambda: publisher.told("revocation list question failed"))
            ac.code = None
            await until(lambda: len(asked(ac, "/revoke/trl")) > first + 2)
            in_vain, *later = asked(ac, "/revoke/trl")[first:]
            assert len(in_vain) > 1
            assert later[0] == ("/revoke/trl",)
            await until(lambda: len(asked(ac, "/revoke/trl")[-1]) > 1)

    async def test_running_tickets_go_on_while_the_ac_is_away_and_what_it_revoked_meanwhile_is_learnt(
        self, tmp_path
    ):
        async with client(PKI.subscriber) as reader:
            async with small_ac(PKI.ac) as ac:
                port = ac.endpoint.address[1]
                publishing = running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=QUICK)
                publisher = await publishing.__aenter__()
                await until(lambda: asked(ac, "/revoke/trl"))
            try:
                ticket = publisher.ticket(PKI.subscriber)
                assert (await reader.upload(publisher, ticket)).code is aiocoap.CREATED
                await until(lambda: publisher.told("revocation list question failed"))
                assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
                ac.revoke(token_hash(ticket))
                async with small_ac(PKI.ac, port=port, ac=ac):
                    await reader.connection.wait_closed()
            finally:
                await publishing.__aexit__(None, None, None)

    async def test_where_the_operator_wants_a_fresh_list_no_ticket_counts_without_one(self, tmp_path):
        strict = QUICK + "\nrequire_fresh_trl = 1.0"
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=strict, defaults=[PKI.sink.uri]) as publisher,
            client(PKI.subscriber) as reader,
            client(PKI.sink) as sink,
        ):
            await until(lambda: asked(ac, "/revoke/trl"))
            await reader.upload(publisher, publisher.ticket(PKI.subscriber))
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
            ac.code = aiocoap.SERVICE_UNAVAILABLE
            await reader.connection.wait_closed()
            assert publisher.told("rights ended")[-1]["because"] == "revocations_unknown"
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED
            assert (await sink.get(publisher.uri + "/power")).code is aiocoap.CONTENT
            ac.code = None

    async def test_somebody_else_at_the_ac_s_address_is_asked_nothing(self, tmp_path):
        """Certified by the same CA, but not the AC."""
        async with small_ac(PKI.sink) as impostor:
            impostor.revoke(token_hash(b"x"))
            async with running_publisher(tmp_path, ac_uri=impostor.uri, ac_keys=QUICK) as publisher:
                await until(lambda: publisher.told("revocation list observation failed"))
                await until(lambda: publisher.told("revocation list question failed"))
                assert impostor.asked == []
                assert "proved to be" in publisher.told("revocation list question failed")[0]["because"]

    async def test_an_ac_that_is_told_not_to_be_followed_is_not_asked(self, tmp_path):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=QUICK + "\nfollow = false") as publisher,
            client(PKI.subscriber) as reader,
        ):
            await reader.upload(publisher, publisher.ticket(PKI.subscriber))
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
            await asyncio.sleep(0.3)
            assert ac.asked == []

    @pytest.mark.parametrize(
        ("keys", "words"),
        [
            ("follow = false\nrequire_fresh_trl = 60.0", "needs 'follow'"),
            ("poll_interval = 40.0\nrequire_fresh_trl = 60.0", "less than two times"),
        ],
    )
    async def test_a_configuration_that_cannot_be_kept_is_refused(self, tmp_path, keys, words):
        async with running_publisher(tmp_path):
            path = tmp_path / "publisher.toml"
            path.write_text(
                path.read_text().replace('certificate = "ac.pem"\n', f'certificate = "ac.pem"\n{keys}\n')
            )
            with pytest.raises(ConfigurationError, match=words):
                load_config(path)


class TestSigningKeys:
    async def test_a_ticket_that_names_a_new_key_is_taken_once_the_ac_has_vouched_for_it(self, tmp_path):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=SLOW) as publisher,
            client(PKI.subscriber) as reader,
        ):
            await until(lambda: asked(ac, "/keys"))
            old, new = PKI.ac.private_key, ec.generate_private_key(ec.SECP256R1())
            ac.is_muted = True
            ac.sign_with(old, new)
            publisher.ac.key = new
            assert (await reader.upload(publisher, publisher.ticket(PKI.subscriber))).code is aiocoap.CREATED
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT

    async def test_a_key_of_nobody_is_asked_for_and_not_too_often(self, tmp_path):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=SLOW) as publisher,
            client(PKI.subscriber) as reader,
        ):
            await until(lambda: asked(ac, "/keys"))
            publisher.ac.key = ec.generate_private_key(ec.SECP256R1())
            for _ in range(5):
                answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber))
                assert answer.code is aiocoap.UNAUTHORIZED
            assert len(asked(ac, "/keys")) == 2

    async def test_a_key_that_the_ac_lists_no_more_opens_nothing_and_what_it_signed_ends(self, tmp_path):
        async with (
            small_ac(PKI.ac) as ac,
            running_publisher(tmp_path, ac_uri=ac.uri, ac_keys=SLOW) as publisher,
            client(PKI.subscriber) as reader,
        ):
            await until(lambda: asked(ac, "/keys"))
            ticket = publisher.ticket(PKI.subscriber)
            await reader.upload(publisher, ticket)
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
            new = ec.generate_private_key(ec.SECP256R1())
            ac.sign_with(new)
            await reader.connection.wait_closed()
            assert (await reader.upload(publisher, ticket)).code is aiocoap.UNAUTHORIZED
            publisher.ac.key = new
            assert (await reader.upload(publisher, publisher.ticket(PKI.subscriber))).code is aiocoap.CREATED

    async def test_while_the_ac_cannot_be_asked_the_keys_that_are_known_go_on(self, tmp_path):
        async with (
            running_publisher(tmp_path, ac_uri="coaps://127.0.0.1:9/token") as publisher,
            client(PKI.subscriber) as reader,
        ):
            assert (await reader.upload(publisher, publisher.ticket(PKI.subscriber))).code is aiocoap.CREATED
            publisher.ac.key = ec.generate_private_key(ec.SECP256R1())
            answer = await reader.upload(publisher, publisher.ticket(PKI.subscriber))
            assert answer.code is aiocoap.UNAUTHORIZED
