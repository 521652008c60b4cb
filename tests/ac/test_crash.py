"""What the AC has answered survives its sudden death."""

from __future__ import annotations

from pathlib import Path

import aiocoap
from ac_world import ACWorld, request_for, scope
from running_ac import ask, client_of, served_ac, write_config

from twoway.tickets import CONTENT_FORMAT_ACE, Method, TokenResponse


async def test_every_ticket_that_was_handed_out_is_in_the_audit_after_a_kill(tmp_path: Path) -> None:
    world = ACWorld.make(tmp_path / "world")
    tickets: list[bytes] = []
    payload = request_for(world.tenant, scope=scope(("/power", Method.GET))).encode()
    async with served_ac(write_config(world)) as ac, client_of(world.tenant) as client:
        for _ in range(5):
            message = aiocoap.Message(
                code=aiocoap.POST, uri=ac.token_uri, payload=payload, content_format=CONTENT_FORMAT_ACE
            )
            response = await ask(client, message)
            tickets.append(TokenResponse.parse_untrusted(response.payload).access_token)
        await ac.kill()  # at once after the last answer
    audited = {entry.ticket_id for entry in ac.decisions()}
    assert len(audited) == 5
    assert all(any(cti in ticket for cti in audited if cti) for ticket in tickets)
