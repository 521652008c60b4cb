"""What the AC has answered survives its sudden death."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiocoap
from ac_world import ACWorld, request_for, scope
from running_ac import TIMEOUT, ask, client_of, write_config

import twoway
from twoway.ac import read_audit
from twoway.tickets import CONTENT_FORMAT_ACE, Method, TokenResponse

PROGRAM = """
import asyncio, sys
from pathlib import Path
from twoway.ac import load_config, serve
asyncio.run(serve(load_config(Path(sys.argv[1])), ready=lambda uri: print(uri, flush=True)))
"""


async def test_every_ticket_that_was_handed_out_is_in_the_audit_after_a_kill(tmp_path: Path) -> None:
    world = ACWorld.make(tmp_path / "world")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        str(write_config(world)),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(twoway.__file__).parents[1])},
    )
    tickets: list[bytes] = []
    payload = request_for(world.tenant, scope=scope(("/power", Method.GET))).encode()
    try:
        assert process.stdout is not None
        uri = (await asyncio.wait_for(process.stdout.readline(), TIMEOUT)).decode().strip()
        async with client_of(world.tenant) as client:
            for _ in range(5):
                message = aiocoap.Message(
                    code=aiocoap.POST,
                    uri=f"{uri}/token",
                    payload=payload,
                    content_format=CONTENT_FORMAT_ACE,
                )
                response = await ask(client, message)
                tickets.append(TokenResponse.parse_untrusted(response.payload).access_token)
            process.kill()  # at once after the last answer, without any chance to tidy up
            await asyncio.wait_for(process.wait(), TIMEOUT)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    audited = {entry.ticket_id for entry in read_audit(world.folder / "ac.sqlite")}
    assert len(audited) == 5
    assert all(any(cti in ticket for cti in audited if cti) for ticket in tickets)
