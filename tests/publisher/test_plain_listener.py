"""The plain port on a real socket: upload first, shake hands afterwards (RFC 9202 section 3.2.2)."""

from __future__ import annotations

import aiocoap
import pytest
from publisher_running import PLAIN, client, running_publisher, send_plain
from small_pki import small_pki

from twoway.errors import ConfigurationError
from twoway.publisher import load_config, serve

PKI = small_pki()


async def test_a_ticket_that_was_brought_in_the_clear_opens_what_it_names_after_the_handshake(tmp_path):
    async with running_publisher(tmp_path, more=PLAIN) as publisher, client(PKI.subscriber) as reader:
        ticket = publisher.ticket(PKI.subscriber)
        answer = await send_plain(
            publisher, code=aiocoap.POST, uri_path=["authz-info"], payload=ticket, content_format=61
        )
        assert answer.code is aiocoap.CREATED
        assert (await reader.get(publisher.uri + "/power")).code is aiocoap.CONTENT
        assert (await reader.get(publisher.uri + "/flow")).code is aiocoap.FORBIDDEN


async def test_it_does_not_help_somebody_else_who_has_shaken_hands(tmp_path):
    thief = PKI.ca.mint("thief")
    async with running_publisher(tmp_path, more=PLAIN) as publisher, client(thief) as other:
        assert (await other.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED
        ticket = publisher.ticket(PKI.subscriber)
        await send_plain(
            publisher, code=aiocoap.POST, uri_path=["authz-info"], payload=ticket, content_format=61
        )
        assert (await other.get(publisher.uri + "/power")).code is aiocoap.UNAUTHORIZED


async def test_no_reading_is_given_in_the_clear(tmp_path):
    async with running_publisher(tmp_path, more=PLAIN, defaults=[PKI.sink.uri]) as publisher:
        answer = await send_plain(publisher, code=aiocoap.GET, uri_path=["power"])
        assert answer.code is aiocoap.UNAUTHORIZED


async def test_there_is_no_plain_port_unless_it_is_asked_for(tmp_path):
    async with running_publisher(tmp_path) as publisher:
        assert publisher.told("plain port open") == []


async def test_a_plain_port_that_is_taken_is_one_sentence(tmp_path):
    async with running_publisher(tmp_path, more=PLAIN) as publisher:
        (opened,) = publisher.told("plain port open")
        path = tmp_path / "publisher.toml"
        taken = f"127.0.0.1:{opened['port']}"
        path.write_text(path.read_text().replace(PLAIN, f'[plain]\nlisten = "{taken}"\n'))
        with pytest.raises(ConfigurationError, match=taken):
            await serve(load_config(path), ready=lambda uri: None)


async def test_a_plain_port_without_an_ac_is_a_mistake(tmp_path):
    path = tmp_path / "publisher.toml"
    path.write_text(
        'name = "x"\nlisten = "127.0.0.1:0"\npsk = [{ identity = "a", key_file = "k" }]\n'
        'default_subscribers = ["psk:a"]\n[plain]\nlisten = "127.0.0.1:0"\n'
        '[[resource]]\npath = "/host"\nsource = "host"\n'
    )
    with pytest.raises(ConfigurationError, match="without \\[ac\\] there are none"):
        load_config(path)
