"""Symmetric keys of tickets (RFC 9202 section 3.3): one key a ticket, and the rights of that ticket alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiocoap
import pytest
from publisher_running import PLAIN, PSK, RunningPublisher, client, running_publisher, send_plain
from small_ac import small_ac
from small_pki import small_pki

from twoway.coap import TransportFailed
from twoway.dtls import PSKCredential
from twoway.errors import ConfigurationError
from twoway.publisher import load_config
from twoway.tickets import KeyName, Method, Scope, SharedSecret, Ticket

PKI = small_pki()
SECRET = SharedSecret(bytes(range(32)))
OTHER_SECRET = SharedSecret(bytes(32))
SHARED = 'shared_secret_file = "secret.hex"\nfollow = false'
ONE, TWO = b"first-01", b"second02"


@asynccontextmanager
async def sharing_publisher(folder: Path, **changes) -> AsyncIterator[RunningPublisher]:
    (folder / "secret.hex").write_text(SECRET.secret.hex())
    (folder / "secret.hex").chmod(0o600)
    arguments = {"ac_keys": SHARED, "more": PLAIN, **changes}
    async with running_publisher(folder, **arguments) as publisher:
        yield publisher


def ticket(publisher: RunningPublisher, kid: bytes = ONE, *paths: str, **changes) -> Ticket:
    scope = Scope(tuple((path, Method.GET) for path in paths or ("/power",)))
    arguments = {"audience": publisher.name, "at": publisher.clock.now(), **changes}
    return publisher.ac.shared_ticket(arguments.pop("secret", SECRET), kid, scope, **arguments)


def by_name(issued: Ticket) -> PSKCredential:
    return PSKCredential(KeyName(issued.confirmation.kid).encode(), issued.confirmation.key)


def by_ticket(issued: Ticket) -> PSKCredential:
    return PSKCredential(issued.encoded, issued.confirmation.key)


async def bring(publisher: RunningPublisher, issued: Ticket) -> aiocoap.Code:
    answer = await send_plain(
        publisher, code=aiocoap.POST, uri_path=["authz-info"], payload=issued.encoded, content_format=61
    )
    return answer.code


async def reads(publisher: RunningPublisher, credential: PSKCredential, path: str = "/power") -> aiocoap.Code:
    async with client(credential) as reader:
        return (await reader.get(publisher.uri + path)).code


async def is_refused(publisher: RunningPublisher, credential: PSKCredential) -> str:
    with pytest.raises(TransportFailed) as failed:
        await reads(publisher, credential)
    return str(failed.value)


class TestBothForms:
    @pytest.mark.parametrize("key", [None, bytes(range(16))], ids=["derived", "carried"])
    async def test_the_name_of_an_uploaded_tickets_key(self, tmp_path, key):
        async with sharing_publisher(tmp_path) as publisher:
            issued = ticket(publisher, key=key)
            assert await bring(publisher, issued) is aiocoap.CREATED
            assert await reads(publisher, by_name(issued)) is aiocoap.CONTENT
            assert await reads(publisher, by_name(issued), "/flow") is aiocoap.FORBIDDEN

    @pytest.mark.parametrize("key", [None, bytes(range(16))], ids=["derived", "carried"])
    async def test_the_ticket_itself(self, tmp_path, key):
        async with sharing_publisher(tmp_path) as publisher:
            issued = ticket(publisher, key=key)
            assert await reads(publisher, by_ticket(issued)) is aiocoap.CONTENT
            assert await reads(publisher, by_ticket(issued), "/flow") is aiocoap.FORBIDDEN
            assert await reads(publisher, by_name(issued)) is aiocoap.CONTENT

    async def test_a_publisher_without_a_certificate_serves_holders_of_tickets_as_well(self, tmp_path):
        async with sharing_publisher(tmp_path, with_certificate=False) as publisher:
            assert await reads(publisher, by_ticket(ticket(publisher))) is aiocoap.CONTENT

    async def test_the_operators_own_keys_go_on_beside_them(self, tmp_path):
        async with sharing_publisher(tmp_path, psk="sink", defaults=["psk:sink"]) as publisher:
            assert await reads(publisher, PSKCredential(b"sink", PSK), "/flow") is aiocoap.CONTENT
            assert await reads(publisher, by_ticket(ticket(publisher))) is aiocoap.CONTENT


class TestWhoGetsIn:
    async def test_two_tickets_have_two_keys_and_none_opens_the_other(self, tmp_path):
        """T22."""
        async with sharing_publisher(tmp_path) as publisher:
            one, two = ticket(publisher, ONE), ticket(publisher, TWO, "/flow")
            assert one.confirmation.key != two.confirmation.key
            await bring(publisher, one)
            await bring(publisher, two)
            crossed = PSKCredential(KeyName(TWO).encode(), one.confirmation.key)
            assert "decrypt_error" in await is_refused(publisher, crossed)
            assert await reads(publisher, by_name(one), "/flow") is aiocoap.FORBIDDEN
            assert await reads(publisher, by_name(two), "/flow") is aiocoap.CONTENT

    @pytest.mark.parametrize(
        "identity",
        [
            KeyName(b"nobody's").encode(),
            b"\xff" * 40,
            b"\x00",
            b"a\x00b",
            bytes(5000),
            b"\xd8\x3d",
            b"\xd8\x3d\xd0\x83\x40\xa0\x40",
        ],
        ids=["unknown", "garbage", "zero", "zero within", "huge", "torn", "hollow"],
    )
    async def test_an_identity_of_nobody_looks_like_a_wrong_key_and_the_publisher_goes_on(
        self, tmp_path, identity
    ):
        """T21."""
        async with sharing_publisher(tmp_path) as publisher:
            good = ticket(publisher)
            wrong = PSKCredential(good.encoded, bytes(16))
            refusals = [await is_refused(publisher, wrong)]
            refusals.append(await is_refused(publisher, PSKCredential(identity, bytes(16))))
            assert all("decrypt_error" in refusal for refusal in refusals)
            assert await reads(publisher, by_ticket(good)) is aiocoap.CONTENT

    async def test_a_ticket_of_another_secret_or_for_another_publisher_or_an_expired_one_opens_nothing(
        self, tmp_path
    ):
        """T2, T3."""
        async with sharing_publisher(tmp_path) as publisher:
            for issued in (
                ticket(publisher, secret=OTHER_SECRET),
                ticket(publisher, audience="urn:dev:org:32473-other"),
                ticket(publisher, at=publisher.clock.now() - timedelta(hours=1)),
            ):
                assert "decrypt_error" in await is_refused(publisher, by_ticket(issued))

    async def test_a_signed_ticket_in_the_place_of_an_identity_opens_nothing(self, tmp_path):
        async with sharing_publisher(tmp_path) as publisher:
            signed = publisher.ticket(PKI.subscriber)
            assert "decrypt_error" in await is_refused(publisher, PSKCredential(signed, bytes(16)))

    async def test_a_ticket_of_the_same_name_with_another_key_does_not_take_over(self, tmp_path):
        """T20: the name is one thing, the key another."""
        async with sharing_publisher(tmp_path) as publisher:
            victim = ticket(publisher, ONE)
            async with client(by_ticket(victim)) as reader:
                assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
                for thief in (
                    ticket(publisher, ONE, "/flow", subject="urn:dev:org:32473-thief"),
                    ticket(publisher, ONE, "/flow", key=bytes(16)),
                ):
                    assert await bring(publisher, thief) is aiocoap.UNAUTHORIZED
                    assert "decrypt_error" in await is_refused(publisher, by_name(thief))
                assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT

    async def test_it_brings_no_right_to_a_peer_with_a_certificate(self, tmp_path):
        async with sharing_publisher(tmp_path) as publisher, client(PKI.subscriber) as reader:
            issued = ticket(publisher, subject=PKI.subscriber.uri)
            assert (await reader.upload(publisher, issued.encoded)).code is aiocoap.CREATED
            assert publisher.told("ticket stored")[-1]["is_bringers"] is False
            assert (await reader.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED

    async def test_a_newer_ticket_of_the_same_key_changes_the_rights_of_the_running_association(
        self, tmp_path
    ):
        async with sharing_publisher(tmp_path) as publisher:
            first, newer = ticket(publisher, ONE), ticket(publisher, ONE, "/flow")
            async with client(by_ticket(first)) as reader:
                assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
                assert (await reader.upload(publisher, newer.encoded)).code is aiocoap.CREATED
                assert publisher.told("ticket stored")[-1]["is_bringers"] is True
                assert (await reader.get(publisher.uri + "/power")).code is aiocoap.FORBIDDEN
                assert (await reader.get(publisher.uri + "/flow")).code is aiocoap.CONTENT
                assert (await reader.upload(publisher, first.encoded)).code is aiocoap.UNAUTHORIZED


class TestTheEnd:
    async def test_an_expired_ticket_ends_the_association_though_it_was_never_used(self, tmp_path):
        async with sharing_publisher(tmp_path) as publisher:
            issued = ticket(publisher, seconds=60)
            async with client(by_ticket(issued)) as reader:
                await reader.context.find_remote_and_interface(
                    aiocoap.Message(code=aiocoap.GET, uri=publisher.uri)
                )
                publisher.clock.shift = timedelta(seconds=60)
                closed = await reader.connection.wait_closed()
                assert closed.alert.label == "close_notify"
            assert "decrypt_error" in await is_refused(publisher, by_ticket(issued))

    async def test_a_revoked_ticket_ends_the_association_and_opens_no_other(self, tmp_path):
        async with small_ac(PKI.ac) as ac:
            keys = 'shared_secret_file = "secret.hex"\npoll_interval = 0.1'
            async with sharing_publisher(tmp_path, ac_uri=ac.uri, ac_keys=keys) as publisher:
                issued = ticket(publisher)
                async with client(by_ticket(issued)) as reader:
                    request = reader.observe(publisher.uri + "/power")
                    assert (await request.response).code is aiocoap.CONTENT
                    ac.revoke(issued.token_hash)
                    closed = await reader.connection.wait_closed()
                    assert closed.alert.label == "close_notify"
                for credential in (by_ticket(issued), by_name(issued)):
                    assert "decrypt_error" in await is_refused(publisher, credential)


async def test_no_secret_and_no_key_is_told(tmp_path):
    async with sharing_publisher(tmp_path) as publisher:
        issued = ticket(publisher)
        await reads(publisher, by_ticket(issued))
        await is_refused(publisher, PSKCredential(issued.encoded, bytes(16)))
        told = repr([event.data for event in publisher.events])
        for hidden in (SECRET.secret, issued.confirmation.key, issued.encoded[:40]):
            assert hidden.hex() not in told
            assert repr(hidden)[2:-1] not in told


@pytest.mark.parametrize(
    ("ac", "words"),
    [
        ('identity = "ac"', "'shared_secret_file' is needed"),
        (
            'identity = "ac"\ncertificate = "ac.pem"\nshared_secret_file = "s"',
            "give 'certificate', or 'identity'",
        ),
        ('shared_secret_file = "s"', "give 'certificate', or 'identity'"),
    ],
)
def test_an_ac_that_cannot_be_known_is_a_mistake(tmp_path, ac, words):
    path = tmp_path / "publisher.toml"
    path.write_text(
        f'name = "x"\nlisten = "127.0.0.1:0"\n[ac]\nuri = "coaps://ac.example/token"\n{ac}\n'
        '[[resource]]\npath = "/host"\nsource = "host"\n'
    )
    with pytest.raises(ConfigurationError, match=words):
        load_config(path)


async def test_a_secret_alone_is_enough_to_believe_an_ac(tmp_path):
    known_by = f'identity = "{PKI.ac.uri}"'
    async with sharing_publisher(tmp_path, with_certificate=False, ac_known_by=known_by) as publisher:
        assert await reads(publisher, by_ticket(ticket(publisher))) is aiocoap.CONTENT
        other = ticket(publisher, secret=OTHER_SECRET)
        assert "decrypt_error" in await is_refused(publisher, by_ticket(other))
