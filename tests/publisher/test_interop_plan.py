"""The interop test plan of the ACE working group, what it says of resource servers: a test for each line.

The lines 1.x and 5.x, about the authorization server, are in the AC's tests, and so is what the plan is. Here
everything is a publisher that runs, and clients that talk to it over sockets:

    plan          here
    RS1           a publisher without a certificate, which knows its AC by a shared secret alone
    RS2           a publisher with a certificate, which shares a secret as well and admits raw public keys
    Client1       somebody without any key
    Client2, 4    whoever holds the symmetric key of a ticket
    Client3       a raw public key, or the symmetric key of a ticket where the line says so
    HelloWorld    GET /power
    Lock          /flow

The lock cannot be kept as it is: the plan reads it by GET and sets it by PUT, and what a publisher offers is
read by GET and has no other method. Its lines ask what becomes of a method that the scope does not name, and
of one that it does. So what a client wants of the lock is GET here: ``r_Lock`` names another method of the
same path, ``rw_Lock`` that and GET. Then what a line grants is there to be had, and what it denies is denied
by the scope alone: a method that this does not name is 4.05, another path 4.03 (RFC 9200 section 5.10.2).

The plan is of 2018. Where RFC 9200 section 5.10.1.1 wants another code now, the test says so. The bytes are
today's too: scopes are AIF (RFC 9237), the name of a key has eight bytes and travels in a map (RFC 9202
section 3.3.2).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiocoap
import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from publisher_running import (
    PLAIN,
    Client,
    RunningPublisher,
    client,
    client_with,
    running_publisher,
    send_plain,
)
from publisher_world import spki_of
from small_pki import small_pki

from twoway import strict_cbor
from twoway.coap import TransportFailed
from twoway.dtls import DTLSConfig, PSKCredential, RawKeyCredential
from twoway.identity import RawPublicKeyIdentity
from twoway.tickets import (
    Confirmation,
    CreationHints,
    KeyName,
    Method,
    Scope,
    SharedSecret,
    SymmetricConfirmation,
    Ticket,
    TicketIssuer,
    ticket_id,
)
from twoway.tickets.encrypt0 import encrypt0

PKI = small_pki()
SECRETS = {
    "RS1": SharedSecret(b"the random bytes of RS1 alone..."),
    "RS2": SharedSecret(b"the random bytes of RS2 alone..."),
}
NAMES = {"RS1": "urn:dev:org:32473-host", "RS2": PKI.publisher_p256.uri}
HELLO_WORLD = Scope((("/power", Method.GET),))
R_LOCK = Scope((("/flow", Method.FETCH),))
RW_LOCK = Scope((("/flow", Method.FETCH | Method.GET),))
KID = bytes.fromhex("91ecb5cb5dbc0101")
OCTETS = bytes.fromhex("6162630405060708090a0b0c0d0e0f10")
KEY, OTHER_KEY = SymmetricConfirmation(KID, OCTETS), SymmetricConfirmation(KID[::-1], OCTETS[::-1])
CLIENT3 = ec.generate_private_key(ec.SECP256R1())


@asynccontextmanager
async def rs1(folder: Path) -> AsyncIterator[RunningPublisher]:
    _write_secret(folder, "RS1")
    async with running_publisher(
        folder,
        with_certificate=False,
        ac_known_by=f'identity = "{PKI.ac.uri}"',
        ac_keys='shared_secret_file = "secret.hex"\nfollow = false',
        more=PLAIN,
    ) as publisher:
        assert publisher.name == NAMES["RS1"]
        yield publisher


@asynccontextmanager
async def rs2(folder: Path) -> AsyncIterator[RunningPublisher]:
    _write_secret(folder, "RS2")
    async with running_publisher(
        folder,
        ac_keys='shared_secret_file = "secret.hex"\nraw_public_keys = true\nfollow = false',
        more=PLAIN,
    ) as publisher:
        assert publisher.name == NAMES["RS2"]
        yield publisher


def _write_secret(folder: Path, name: str) -> None:
    (folder / "secret.hex").write_text(SECRETS[name].secret.hex())
    (folder / "secret.hex").chmod(0o600)


def token(
    publisher: RunningPublisher,
    scope: Scope,
    cnf: SymmetricConfirmation | Confirmation = KEY,
    *,
    audience: str,
    encrypted_for: str | None = None,
    is_encrypted: bool = True,
) -> Ticket:
    """A ticket of the AC for one resource server of the plan, encrypted for it or for another, or signed."""
    now = publisher.clock.now()
    return TicketIssuer(issuer=PKI.ac.uri, private_key=publisher.ac.key, entropy=os.urandom).issue(
        subject="urn:dev:org:32473-client",
        audience=NAMES[audience],
        scope=scope,
        confirmation=cnf,
        ticket_id=ticket_id(NAMES[audience], next(publisher.ac.sequences)),
        now=now,
        lifetime_seconds=600,
        not_after=now + timedelta(days=1),
        secret=SECRETS[encrypted_for or audience] if is_encrypted else None,
    )


def key_of_client3() -> Confirmation:
    return Confirmation.of_key(spki_of(CLIENT3))


async def upload(publisher: RunningPublisher, payload: bytes) -> aiocoap.Code:
    """Bring something to authz-info over plain CoAP, as the plan does, and return the answer's code."""
    answer = await send_plain(
        publisher, code=aiocoap.POST, uri_path=["authz-info"], payload=payload, content_format=61
    )
    assert answer.payload == b"", "nobody is told more on the plain port"
    return answer.code


def by_name(ticket: Ticket) -> PSKCredential:
    """What a client shakes hands with whose ticket was uploaded: the name of its key."""
    return PSKCredential(KeyName(ticket.confirmation.kid).encode(), ticket.confirmation.key)


def by_ticket(ticket: Ticket) -> PSKCredential:
    """What a client shakes hands with that brings its ticket in the handshake."""
    return PSKCredential(ticket.encoded, ticket.confirmation.key)


async def require_nothing_kept(publisher: RunningPublisher, ticket: Ticket) -> None:
    """Make sure that a refused ticket opens no handshake."""
    async with client(by_name(ticket)) as peer:
        with pytest.raises(TransportFailed, match="decrypt_error"):
            await peer.get(publisher.uri + "/power")


async def test_2_1_who_has_no_ticket_is_told_where_to_get_one(tmp_path):
    """C2.1 and the first C2.2."""
    async with rs1(tmp_path) as publisher:
        # An answer on the plain port has three times the bytes of its question at most; so this has a host.
        answer = await send_plain(publisher, code=aiocoap.GET, uri_host="rs1.example", uri_path=["power"])
        assert answer.code is aiocoap.UNAUTHORIZED
        assert answer.opt.content_format == 19
        assert CreationHints.parse_untrusted(answer.payload).as_uri == "coaps://127.0.0.1:5684/token"
        assert cbor2.loads(answer.payload).keys() == {1}, "the address of the AC, and nothing of the resource"


async def test_2_2_random_bytes_are_no_ticket(tmp_path):
    """C2.2, which wants 4.01: what does not parse to a ticket is 4.00 (RFC 9200 section 5.10.1)."""
    async with rs1(tmp_path) as publisher:
        for size in (1, 64, 300):
            assert await upload(publisher, os.urandom(size)) is aiocoap.BAD_REQUEST


async def test_2_3_a_ticket_under_a_key_that_is_not_known_is_refused(tmp_path):
    """C2.3."""
    async with rs1(tmp_path) as publisher:
        foreign = token(publisher, HELLO_WORLD, audience="RS1", encrypted_for="RS2")
        assert await upload(publisher, foreign.encoded) is aiocoap.UNAUTHORIZED
        await require_nothing_kept(publisher, foreign)


async def test_2_4_a_ticket_for_another_audience_is_forbidden(tmp_path):
    """C2.4."""
    async with rs1(tmp_path) as publisher:
        foreign = token(publisher, HELLO_WORLD, audience="RS2", encrypted_for="RS1")
        assert await upload(publisher, foreign.encoded) is aiocoap.FORBIDDEN
        await require_nothing_kept(publisher, foreign)


async def test_2_5_a_scope_that_is_not_recognised_is_a_bad_request(tmp_path):
    """C2.5. The words of the plan, such as "test", are no scope that a publisher reads."""
    async with rs1(tmp_path) as publisher:
        good = token(publisher, HELLO_WORLD, audience="RS1")
        for unknown in ("test", "HelloWorld", b"test", strict_cbor.encode("test")):
            odd = with_scope(good, unknown)
            assert await upload(publisher, odd) is aiocoap.BAD_REQUEST
        await require_nothing_kept(publisher, good)
        assert await upload(publisher, with_scope(good, HELLO_WORLD.encode())) is aiocoap.CREATED


def with_scope(ticket: Ticket, scope: object) -> bytes:
    """The same ticket of the same AC, with another scope claim."""
    secret = SECRETS["RS1"]
    claims = {
        1: ticket.issuer,
        2: ticket.subject,
        3: ticket.audience,
        4: int(ticket.expires_at.timestamp()),
        6: int(ticket.issued_at.timestamp()),
        7: ticket.ticket_id,
        8: ticket.confirmation.claim(),
        9: scope,
        38: 1,
    }
    return encrypt0(
        strict_cbor.encode(claims),
        key=secret.token_key(),
        key_id=secret.key_id(),
        iv=os.urandom(13),
        algorithm=secret.algorithm,
    )


async def test_2_6_a_good_ticket_is_created(tmp_path):
    """C2.6."""
    async with rs1(tmp_path) as publisher:
        assert (
            await upload(publisher, token(publisher, HELLO_WORLD, audience="RS1").encoded) is aiocoap.CREATED
        )


async def test_2_7_the_holder_of_its_key_reads_what_it_names(tmp_path):
    """C2.7."""
    async with rs1(tmp_path) as publisher:
        ticket = token(publisher, HELLO_WORLD, audience="RS1")
        await upload(publisher, ticket.encoded)
        async with client(by_name(ticket)) as client2:
            await require_reading(client2, publisher.uri + "/power")


async def require_reading(peer: Client, uri: str) -> None:
    """Make sure that a peer gets a reading."""
    answer = await peer.get(uri)
    assert answer.code is aiocoap.CONTENT
    assert cbor2.loads(answer.payload), "SenML records"


async def test_2_8_another_resource_is_forbidden(tmp_path):
    """C2.8: 4.03 whatever the method, since the path is not covered."""
    async with rs1(tmp_path) as publisher:
        ticket = token(publisher, HELLO_WORLD, audience="RS1")
        await upload(publisher, ticket.encoded)
        async with client(by_name(ticket)) as client2:
            for code in (aiocoap.PUT, aiocoap.GET):
                answer = await client2.ask(code, publisher.uri + "/flow", payload=b"\xf4")
                assert answer.code is aiocoap.FORBIDDEN


async def test_2_9_a_ticket_that_comes_in_the_handshake_is_as_good(tmp_path):
    """C2.9.1 and C2.9.2."""
    async with rs1(tmp_path) as publisher:
        ticket = token(publisher, HELLO_WORLD, audience="RS1")
        async with client(by_ticket(ticket)) as client4:
            await require_reading(client4, publisher.uri + "/power")
            assert (await client4.get(publisher.uri + "/flow")).code is aiocoap.FORBIDDEN
        (ground,) = {told["because"] for told in publisher.told("request permitted")}
        assert ground == f"ticket {ticket.ticket_id.hex()}"


async def test_2_10_the_other_publisher_takes_a_ticket_for_a_symmetric_key(tmp_path):
    """C2.10."""
    async with rs2(tmp_path) as publisher:
        assert await upload(publisher, token(publisher, R_LOCK, audience="RS2").encoded) is aiocoap.CREATED


async def test_2_11_and_one_for_more_rights_and_another_key(tmp_path):
    """C2.11: beside the one before, which stays."""
    async with rs2(tmp_path) as publisher:
        first = token(publisher, R_LOCK, audience="RS2")
        second = token(publisher, RW_LOCK, OTHER_KEY, audience="RS2")
        for ticket in (first, second):
            assert await upload(publisher, ticket.encoded) is aiocoap.CREATED
        for ticket, code in ((first, aiocoap.METHOD_NOT_ALLOWED), (second, aiocoap.CONTENT)):
            async with client(by_name(ticket)) as peer:
                assert (await peer.get(publisher.uri + "/flow")).code is code


async def test_2_12_and_one_for_a_raw_public_key(tmp_path):
    """C2.12, encrypted as the plan has it, and signed as our AC does it."""
    async with rs2(tmp_path) as publisher:
        for is_encrypted in (True, False):
            ticket = token(
                publisher, HELLO_WORLD, key_of_client3(), audience="RS2", is_encrypted=is_encrypted
            )
            assert await upload(publisher, ticket.encoded) is aiocoap.CREATED


async def test_2_13_a_method_that_the_scope_does_not_name_is_not_allowed(tmp_path):
    """C2.13."""
    async with rs2(tmp_path) as publisher:
        ticket = token(publisher, R_LOCK, audience="RS2")
        await upload(publisher, ticket.encoded)
        async with client(by_name(ticket)) as client2:
            assert (await client2.get(publisher.uri + "/flow")).code is aiocoap.METHOD_NOT_ALLOWED
        (told,) = publisher.told("request refused")
        assert told["because"] == "method_not_covered"


async def test_2_14_a_method_that_it_names_is_granted(tmp_path):
    """C2.14, at RS2, though the plan has the handshake with RS1. It wants 2.04, the answer to a PUT."""
    async with rs2(tmp_path) as publisher:
        ticket = token(publisher, RW_LOCK, audience="RS2")
        await upload(publisher, ticket.encoded)
        async with client(by_name(ticket)) as client3:
            await require_reading(client3, publisher.uri + "/flow")


async def test_2_15_both_prove_raw_public_keys(tmp_path):
    """C2.15."""
    async with rs2(tmp_path) as publisher:
        ticket = token(publisher, HELLO_WORLD, key_of_client3(), audience="RS2")
        await upload(publisher, ticket.encoded)
        key_of_rs2 = RawKeyCredential.of(PKI.publisher_p256.private_key).pin
        config = DTLSConfig(raw_key=RawKeyCredential.of(CLIENT3), raw_key_pins=frozenset({key_of_rs2}))
        async with client_with(config) as client3:
            await require_reading(client3, publisher.uri + "/power")
            assert client3.connection.peer == RawPublicKeyIdentity(PKI.publisher_p256.identity.spki)
            assert (await client3.get(publisher.uri + "/flow")).code is aiocoap.FORBIDDEN
