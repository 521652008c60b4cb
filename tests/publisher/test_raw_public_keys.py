"""Clients that prove a key without a certificate (RFC 9202 section 3.2): a ticket is what introduces them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import aiocoap
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from publisher_running import PLAIN, Client, RunningPublisher, client, running_publisher, send_plain
from publisher_world import spki_of
from small_pki import small_pki

from twoway.coap import TransportFailed, open_context
from twoway.dtls import DTLSConfig, RawKeyCredential
from twoway.identity import RawPublicKeyIdentity, X509Identity
from twoway.net import Endpoint

PKI = small_pki()
RAW = "raw_public_keys = true\nfollow = false"


@dataclass
class Holder:
    """Somebody with a key and no certificate."""

    key: ec.EllipticCurvePrivateKey
    name: str = "urn:dev:org:32473-raw"

    @property
    def identity(self) -> X509Identity:
        """As far as the AC's ticket is concerned."""
        return X509Identity(self.name, spki_of(self.key), (), datetime.now(UTC) + timedelta(days=1))


def holder() -> Holder:
    return Holder(ec.generate_private_key(ec.SECP256R1()))


@asynccontextmanager
async def raw_client(who: Holder) -> AsyncIterator[Client]:
    """Somebody who pins the publisher's key, as the AC told it in rs_cnf."""
    config = DTLSConfig(
        raw_key=RawKeyCredential.of(who.key),
        raw_key_pins=frozenset({RawKeyCredential.of(PKI.publisher_p256.private_key).pin}),
    )
    async with await Endpoint.open(host="127.0.0.1") as endpoint:
        context = await open_context(endpoint, client_config=lambda host, port: config)
        try:
            async with asyncio.timeout(20):
                yield Client(context, endpoint)
        finally:
            await context.shutdown()


async def bring(publisher: RunningPublisher, ticket: bytes) -> aiocoap.Code:
    answer = await send_plain(
        publisher, code=aiocoap.POST, uri_path=["authz-info"], payload=ticket, content_format=61
    )
    return answer.code


async def test_the_holder_of_a_ticket_shakes_hands_with_its_key_and_does_what_the_ticket_says(tmp_path):
    who = holder()
    async with (
        running_publisher(tmp_path, ac_keys=RAW, more=PLAIN) as publisher,
        raw_client(who) as reader,
    ):
        assert await bring(publisher, publisher.ticket(who)) is aiocoap.CREATED
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        assert (await reader.get(publisher.uri + "/flow")).code is aiocoap.FORBIDDEN
        assert reader.connection.peer == RawPublicKeyIdentity(PKI.publisher_p256.identity.spki)


async def test_whoever_brought_no_ticket_does_not_get_through_the_handshake(tmp_path):
    """T9."""
    async with (
        running_publisher(tmp_path, ac_keys=RAW, more=PLAIN) as publisher,
        raw_client(holder()) as stranger,
    ):
        await bring(publisher, publisher.ticket(holder()))
        with pytest.raises(TransportFailed, match="certificate_unknown"):
            await stranger.get(publisher.uri + "/power")


async def test_without_the_operators_word_no_raw_key_gets_through(tmp_path):
    who = holder()
    async with (
        running_publisher(tmp_path, more=PLAIN) as publisher,
        raw_client(who) as reader,
    ):
        await bring(publisher, publisher.ticket(who))
        with pytest.raises(TransportFailed):
            await reader.get(publisher.uri + "/power")


async def test_the_end_of_the_ticket_is_the_end_of_the_association_and_of_the_next_handshake(tmp_path):
    who = holder()
    async with (
        running_publisher(tmp_path, ac_keys=RAW, more=PLAIN) as publisher,
        raw_client(who) as reader,
    ):
        await bring(publisher, publisher.ticket(who, seconds=60))
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        publisher.clock.shift = timedelta(seconds=60)
        await reader.connection.wait_closed()
        with pytest.raises(TransportFailed, match="certificate_unknown"):
            await reader.get(publisher.uri + "/power")


async def test_a_newer_ticket_is_taken_on_the_running_association(tmp_path):
    who = holder()
    async with (
        running_publisher(tmp_path, ac_keys=RAW, more=PLAIN) as publisher,
        raw_client(who) as reader,
    ):
        await bring(publisher, publisher.ticket(who))
        assert (await reader.upload(publisher, publisher.ticket(who, "/flow"))).code is aiocoap.CREATED
        assert publisher.told("ticket stored")[-1]["is_bringers"] is True
        assert (await reader.get(publisher.uri + "/flow")).code is aiocoap.CONTENT
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.FORBIDDEN


async def test_a_default_subscriber_is_known_by_its_certificate_and_not_by_a_name_in_a_ticket(tmp_path):
    who = Holder(ec.generate_private_key(ec.SECP256R1()), name=PKI.sink.uri)
    async with (
        running_publisher(tmp_path, ac_keys=RAW, more=PLAIN, defaults=[PKI.sink.uri]) as publisher,
        raw_client(who) as reader,
    ):
        await bring(publisher, publisher.ticket(who))
        assert (await reader.get(publisher.uri + "/flow")).code is aiocoap.FORBIDDEN


async def test_peers_with_certificates_are_served_as_before(tmp_path):
    async with (
        running_publisher(tmp_path, ac_keys=RAW) as publisher,
        client(PKI.subscriber) as reader,
    ):
        await reader.upload(publisher, publisher.ticket(PKI.subscriber))
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        assert isinstance(reader.connection.peer, X509Identity)
