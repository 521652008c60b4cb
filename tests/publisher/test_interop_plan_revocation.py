"""Revocation (RFC 9770), as lines of an interop test plan: what a publisher does about it.

These lines go on from those about the AC (6.1 to 6.17, in the AC's tests). They are ours, since the plan of
the ACE working group is older than RFC 9770. Everything runs and talks over sockets: the AC whose tickets are
revoked, the publisher that follows it, and the holders of tickets. Where a line needs an AC that errs or a
ticket that no AC of ours would issue, a smaller one stands in (small_ac).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiocoap
import cbor2
import pytest
from answers_only import AnswersOnly
from deployment import NORTH, Deployment, until
from issuing import issue_one
from publisher_running import Client, client, running_publisher, send_plain
from small_ac import small_ac
from small_pki import small_pki
from token_client import obtain

from twoway.ac import TicketRecord
from twoway.ac.revocation import MAX_N
from twoway.coap import TransportFailed
from twoway.dtls import PSKCredential
from twoway.identity import identity_uri
from twoway.pki import Role
from twoway.subscriber import KeyedPublisher
from twoway.tickets import Confirmation, KeyName, TokenResponse, token_hash

METER = identity_uri("meter")
END_TIMEOUT = 2.0
"""Seconds from a revocation to the end of what it revokes."""
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PKI = small_pki()


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with Deployment(tmp_path) as deployment:
        deployment.issue("second", Role.SUBSCRIBER, attributes=NORTH)
        yield deployment


async def obtain_for(deployment: Deployment, name: str) -> bytes:
    """A ticket to read /count, bound to the certified key of a subscriber."""
    identity = deployment.identity(name)
    async with client(identity) as asking:
        own = Confirmation.of_key(identity.identity.spki)
        return (await obtain(deployment.token_uri, asking, METER, "/count", req_cnf=own)).access_token


async def revoke(deployment: Deployment, *tickets: bytes) -> None:
    """Revoke tickets as a command does, beside the running AC."""
    for ticket in tickets:
        revoked: list[TicketRecord] = await deployment.records(
            lambda records, ticket=ticket: records.revoke_by_hash(
                token_hash(ticket), reason="lost", now=deployment.now()
            )
        )
        assert len(revoked) == 1


async def upload(holder: Client, uri: str, ticket: bytes) -> aiocoap.Code:
    answer = await holder.ask(aiocoap.POST, f"{uri}/authz-info", payload=ticket, content_format=61)
    return answer.code


async def last_of(request: aiocoap.protocol.Request) -> aiocoap.Message:
    """The notification that ends an observation."""
    async for notification in request.observation:
        if not notification.code.is_successful():
            return notification
    raise AssertionError("the observation ended without a word")


@dataclass(frozen=True)
class Keyed:
    """A ticket with a symmetric key, and the publisher that it is for."""

    publisher: KeyedPublisher
    granted: TokenResponse

    @property
    def ways_in(self) -> list[PSKCredential]:
        """The ticket itself, and the name of its key (RFC 9202 section 3.3.2)."""
        cnf = self.granted.cnf
        return [
            PSKCredential(self.granted.access_token, cnf.key),
            PSKCredential(KeyName(cnf.kid).encode(), cnf.key),
        ]


async def test_6_18_a_revocation_ends_observation_and_association(deployment: Deployment):
    """Section 11.1, RFC 9202 section 5: a last 4.01, close_notify, and nothing opens another."""
    deployment.write_ac_toml(("meter",))
    deployment.share_secret("meter")
    await deployment.start_ac(publishers=("meter",))
    publisher = await deployment.start_keyed_publisher("meter")
    async with client(deployment.identity("reader")) as asking:
        keyed = Keyed(publisher, await obtain(deployment.token_uri, asking, METER, "/count"))
    async with client(keyed.ways_in[0]) as reading:
        request = reading.observe(f"{publisher.uri}/count")
        assert (await request.response).code is aiocoap.CONTENT
        connection = reading.connection
        await revoke(deployment, keyed.granted.access_token)
        async with asyncio.timeout(END_TIMEOUT):
            last = await last_of(request)
            closed = await connection.wait_closed()
    assert (last.code, last.opt.observe) == (aiocoap.UNAUTHORIZED, None)
    assert closed.alert.label == "close_notify"
    for credential in keyed.ways_in:
        async with client(credential) as again:
            with pytest.raises(TransportFailed, match="decrypt_error"):
                await again.get(f"{publisher.uri}/count")


async def test_6_19_a_ticket_that_was_revoked_before_it_came_is_not_taken(deployment: Deployment):
    """Section 11.1: on an association, and over plain CoAP before there is one."""
    deployment.write_ac_toml(("meter",))
    deployment.share_secret("meter")
    await deployment.start_ac(publishers=("meter",))
    publisher = await deployment.start_keyed_publisher("meter")
    ticket, other = [await obtain_for(deployment, name) for name in ("reader", "second")]
    await revoke(deployment, ticket)
    await until(lambda: deployment.told("tickets revoked") == [{"tickets": 1}])
    assert await bring_plainly(deployment, ticket) is aiocoap.UNAUTHORIZED
    assert await bring_plainly(deployment, other) is aiocoap.CREATED
    async with client(deployment.identity("reader")) as reading:
        assert await upload(reading, publisher.uri, ticket) is aiocoap.UNAUTHORIZED
        assert (await reading.get(f"{publisher.uri}/count")).code is aiocoap.UNAUTHORIZED


async def bring_plainly(deployment: Deployment, ticket: bytes) -> aiocoap.Code:
    answer = await send_plain(
        deployment, code=aiocoap.POST, uri_path=["authz-info"], payload=ticket, content_format=61
    )
    return answer.code


async def test_6_20_whoever_holds_another_ticket_goes_on(deployment: Deployment):
    """Section 11.1: the tickets with the listed hashes are expunged, and no other."""
    await deployment.start_ac()
    uri = await deployment.start_publisher("meter")
    revoked, kept = [await obtain_for(deployment, name) for name in ("reader", "second")]
    async with (
        client(deployment.identity("reader")) as reading,
        client(deployment.identity("second")) as other,
    ):
        for holder, ticket in ((reading, revoked), (other, kept)):
            assert await upload(holder, uri, ticket) is aiocoap.CREATED
        request = other.observe(f"{uri}/count")
        assert (await request.response).code is aiocoap.CONTENT
        assert (await reading.get(f"{uri}/count")).code is aiocoap.CONTENT
        await revoke(deployment, revoked)
        await reading.connection.wait_closed()
        notification = await anext(aiter(request.observation))
        assert notification.code is aiocoap.CONTENT
        assert (await other.get(f"{uri}/count")).code is aiocoap.CONTENT


async def test_6_21_a_ticket_that_has_left_the_list_is_not_taken_either(deployment: Deployment):
    """Section 11.1: the hash stays, whatever clock the AC goes by, since ours may be behind."""
    await deployment.start_ac()
    uri = await deployment.start_publisher("meter")
    ticket = await obtain_for(deployment, "reader")
    await revoke(deployment, ticket)
    await until(lambda: len(deployment.told("tickets revoked")) == 1)
    tomorrow = deployment.now() + timedelta(days=1)
    assert await deployment.records(lambda records: records.prune(tomorrow)) == 1
    await revoke(deployment, await obtain_for(deployment, "second"))
    await until(lambda: len(deployment.told("tickets revoked")) == 2)  # a list on which the first is not
    async with client(deployment.identity("meter")) as asking:
        listed = await asking.get(deployment.token_uri.replace("/token", "/revoke/trl"))
        assert token_hash(ticket) not in cbor2.loads(listed.payload)[0]
    async with client(deployment.identity("reader")) as reading:
        assert await upload(reading, uri, ticket) is aiocoap.UNAUTHORIZED


@pytest.mark.parametrize("part", ["tags", "headers and signature"])
async def test_6_22_a_ticket_in_another_form_is_no_way_round_its_hash(deployment: Deployment, part: str):
    """Sections 3, 11.1 and 14.6: each form has another hash, which no list knows."""
    await deployment.start_ac()
    uri = await deployment.start_publisher("meter")
    ticket = await obtain_for(deployment, "reader")
    await revoke(deployment, ticket)
    await until(lambda: deployment.told("tickets revoked") == [{"tickets": 1}])
    async with client(deployment.identity("reader")) as reading:
        for name, form in {"itself": ticket, **other_forms_of(ticket)[part]}.items():
            assert (form == ticket) == (token_hash(form) == token_hash(ticket))
            code = await upload(reading, uri, form)
            assert code in (aiocoap.BAD_REQUEST, aiocoap.UNAUTHORIZED), name
        assert (await reading.get(f"{uri}/count")).code is aiocoap.UNAUTHORIZED


def other_forms_of(ticket: bytes) -> dict[str, dict[str, bytes]]:
    """What carries the same claims under a signature of the same AC, in other bytes."""
    assert ticket.startswith(b"\xd8\x3d\xd2\x84")
    protected, unprotected, payload, signature = cbor2.loads(ticket).value.value
    assert unprotected == {}

    def signed(headers: dict[int, object], signature: bytes = signature) -> bytes:
        message = cbor2.CBORTag(18, [protected, headers, payload, signature])
        return cbor2.dumps(cbor2.CBORTag(61, message))

    assert signed({}) == ticket
    s = int.from_bytes(signature[32:])
    tags = {
        "no tag": ticket[3:],
        "no CWT tag": ticket[2:],
        "no COSE tag": ticket[:2] + ticket[3:],
        "a third tag": b"\xd9\xd9\xf7" + ticket,
        "the tag of another message": ticket[:2] + b"\xd0" + ticket[3:],
        "a longer head of the outer tag": b"\xd9\x00\x3d" + ticket[2:],
        "a longer head of the inner tag": ticket[:2] + b"\xd8\x12" + ticket[3:],
    }
    rest = {
        "an unprotected header": signed({4: b"key"}),
        "an unprotected header that nobody knows": signed({-70000: 1}),
        "the twin of the signature": signed({}, signature[:32] + (P256_ORDER - s).to_bytes(32)),
        "a byte behind it": ticket + b"\x00",
    }
    return {"tags": tags, "headers and signature": rest}


async def test_6_23_a_publisher_that_missed_too_much_asks_for_the_whole_list(deployment: Deployment):
    """Sections 9.2.3 and 11: somebody holds back the notifications, and meanwhile more is revoked than the AC
    tells one by one."""
    await deployment.start_ac()
    async with AnswersOnly.before(deployment.ports["ac"]) as path:
        uri = await deployment.start_publisher(
            "meter", token_uri=f"coaps://127.0.0.1:{path.port}/token", poll_interval=3.0
        )
        first, ticket = await obtain_for(deployment, "second"), await obtain_for(deployment, "reader")
        await revoke(deployment, first)
        await until(lambda: deployment.told("tickets revoked") == [{"tickets": 1}])
        async with client(deployment.identity("reader")) as reading:
            assert await upload(reading, uri, ticket) is aiocoap.CREATED
            assert (await reading.get(f"{uri}/count")).code is aiocoap.CONTENT
            path.is_closed, asked = True, path.asked
            await until(lambda: path.asked > asked)
            await asyncio.sleep(0.5)  # between two questions, when nothing is taken for an answer
            await deployment.records(lambda records: revoke_many(records, deployment))
            await until(lambda: path.lost > 0)
            assert len(deployment.told("tickets revoked")) == 1
            await reading.connection.wait_closed()
    assert deployment.told("tickets revoked")[1:] == [{"tickets": MAX_N + 1}], "at once, not in batches"


async def revoke_many(records, deployment: Deployment) -> None:
    """Revoke one ticket more than the AC remembers changes of, the reader's among them."""
    for _ in range(MAX_N):
        await issue_one(records, now=deployment.now(), requester=identity_uri("reader"), audience=METER)
    revoked = await records.revoke_by_holder(identity_uri("reader"), reason="lost", now=deployment.now())
    assert len(revoked) == MAX_N + 1


async def test_6_24_from_an_error_nothing_is_concluded(tmp_path):
    """Section 11: neither from its code nor from what stands in it; the next good answer counts."""
    async with (
        small_ac(PKI.ac) as ac,
        running_publisher(tmp_path, ac_uri=ac.uri, ac_keys="poll_interval = 0.1") as publisher,
        client(PKI.subscriber) as reading,
    ):
        await until(lambda: bool(ac.asked))
        ticket = publisher.ticket(PKI.subscriber)
        assert await upload(reading, publisher.uri, ticket) is aiocoap.CREATED
        ac.code = aiocoap.SERVICE_UNAVAILABLE
        ac.revoke(token_hash(ticket))  # and the error has the list in its body
        await until(lambda: len(publisher.told("revocation list question failed")) > 1)
        assert (await reading.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        ac.code = None
        await reading.connection.wait_closed()
        assert await upload(reading, publisher.uri, ticket) is aiocoap.UNAUTHORIZED


async def test_6_25_without_a_clock_earlier_tickets_end_with_a_revoked_one(tmp_path):
    """Section 11.1, RFC 9200 section 5.10.3: an expunged ticket with a relative lifetime counts as expired,
    and so do those that were issued before it and never came."""
    async with (
        small_ac(PKI.ac) as ac,
        running_publisher(
            tmp_path, ac_uri=ac.uri, ac_keys='exi_file = "seen"\npoll_interval = 3600.0'
        ) as publisher,
        client(PKI.subscriber) as reading,
        client(PKI.sink) as other,
    ):
        await until(lambda: bool(ac.asked))
        held_back = publisher.ticket(PKI.sink, exi=600)
        ticket, later = [publisher.ticket(PKI.subscriber, exi=600) for _ in range(2)]
        assert await upload(reading, publisher.uri, ticket) is aiocoap.CREATED
        assert (await reading.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        ac.revoke(token_hash(ticket))
        await reading.connection.wait_closed()
        assert await upload(reading, publisher.uri, ticket) is aiocoap.UNAUTHORIZED
        assert await upload(other, publisher.uri, held_back) is aiocoap.UNAUTHORIZED
        assert await upload(reading, publisher.uri, later) is aiocoap.CREATED
        assert (await reading.get(publisher.uri + "/power")).code is aiocoap.CONTENT
