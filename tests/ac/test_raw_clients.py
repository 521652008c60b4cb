"""Clients without certificates (RFC 9202 section 3.2): registered by raw public key, and by nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiocoap
import pytest
from ac_world import ACWorld, request_for, scope
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from running_ac import ask, running_ac, write_config
from small_pki import Credential

from twoway.ac import load_config
from twoway.ac.config import SubscriberSection, parse_raw_key_name
from twoway.ac.directory import compile_directory
from twoway.coap import open_context
from twoway.dtls import DTLSConfig, RawKeyCredential
from twoway.errors import ConfigurationError
from twoway.identity import RawPublicKeyIdentity, identity_uri
from twoway.net import Endpoint
from twoway.tickets import CONTENT_FORMAT_ACE, Confirmation, Method, TokenResponse

ATTRIBUTES = 'organisation = "House"\nregion = "north"'


@pytest.fixture
def world(tmp_path: Path) -> ACWorld:
    return ACWorld.make(tmp_path / "world")


def name_of(credential: Credential) -> str:
    return RawPublicKeyIdentity(credential.spki).uri


def registered(credential: Credential) -> str:
    return f'[[subscriber]]\nidentity = "raw"\nraw_key_name = "{name_of(credential)}"\n{ATTRIBUTES}'


@asynccontextmanager
async def raw_client(world: ACWorld, credential: Credential) -> AsyncIterator[aiocoap.Context]:
    """A client that shows its key alone, and has pinned the AC's."""
    ac_key = RawKeyCredential.of(world.ac.private_key)
    config = DTLSConfig(
        raw_key=RawKeyCredential.of(credential.private_key), raw_key_pins=frozenset({ac_key.pin})
    )
    endpoint = await Endpoint.open(host="127.0.0.1")
    context = await open_context(endpoint, client_config=lambda host, port: config)
    try:
        yield context
    finally:
        await context.shutdown()
        await endpoint.close()


def post(uri: str, holder: Credential) -> aiocoap.Message:
    payload = request_for(holder, scope=scope(("/power", Method.GET))).encode()
    return aiocoap.Message(
        code=aiocoap.POST, uri=f"{uri}/token", payload=payload, content_format=CONTENT_FORMAT_ACE
    )


async def test_a_key_that_is_not_registered_does_not_get_through_the_handshake(world: ACWorld) -> None:
    async with running_ac(world, more=registered(world.unknown)) as ac:
        async with raw_client(world, world.tenant) as client:
            with pytest.raises(aiocoap.error.Error):
                await ask(client, post(ac.uri, world.tenant))


async def test_a_registered_key_gets_a_ticket_in_its_registered_name(world: ACWorld) -> None:
    async with running_ac(world, more=registered(world.unknown)) as ac:
        async with raw_client(world, world.unknown) as client:
            response = await ask(client, post(ac.uri, world.unknown))
    assert response.code == aiocoap.CREATED
    answer = TokenResponse.parse_untrusted(response.payload)
    ticket = world.verify(answer.access_token, now=datetime.now(UTC))
    assert ticket.subject == identity_uri("raw")
    assert ticket.confirmation == Confirmation.of_key(world.unknown.spki)


def test_a_key_may_stand_in_a_file(world: ACWorld, tmp_path: Path) -> None:
    path = tmp_path / "raw.pem"
    public = world.unknown.private_key.public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    directory = compile_directory([], (), [SubscriberSection(identity="raw", raw_key=path)])
    found = directory.holder_of_raw_key(RawPublicKeyIdentity(world.unknown.spki).spki_sha256)
    assert found is not None
    assert found.uri == identity_uri("raw")
    assert type(found).from_document(found.to_document()) == found
    path.write_text("a key, perhaps")
    with pytest.raises(ConfigurationError, match="not a public key"):
        compile_directory([], (), [SubscriberSection(identity="raw", raw_key=path)])


def test_one_key_is_not_registered_for_two(world: ACWorld) -> None:
    digest = parse_raw_key_name(name_of(world.unknown))
    sections = [
        SubscriberSection.model_construct(
            **SubscriberSection(identity=name).__dict__ | {"raw_key_name": digest}
        )
        for name in ("one", "two")
    ]
    with pytest.raises(ConfigurationError, match="the same raw key"):
        compile_directory([], (), sections)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ni:///sha-256;",
        "ni:///sha-256;AAAA",
        "ni:///sha-512;" + "A" * 43,
        "A" * 43,
        "ni:///sha-256;" + "!" * 43,
    ],
)
def test_what_is_no_name_of_a_key_is_refused_in_a_sentence(world: ACWorld, text: str) -> None:
    more = f'[[subscriber]]\nidentity = "raw"\nraw_key_name = "{text}"'
    with pytest.raises(ConfigurationError, match="ni:///sha-256"):
        load_config(write_config(world, more=more))
