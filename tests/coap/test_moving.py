"""A client that moves keeps what it has at a server: its connection, its identity, its observations."""

import asyncio

import aiocoap
from aiocoap import Message
from live_coap import Note, coap_client, coap_server, site_of
from live_endpoints import PATIENCE, dtls_config, until
from live_nat import Nat
from small_pki import small_pki

from twoway.coap import connection_of
from twoway.dtls.timers import Retransmission

QUICK = Retransmission(initial=0.3)
"""How long a path has to answer, too: short, since every rebinding waits for the old one."""


async def test_an_observation_goes_on_where_its_observer_went():
    note = Note(b"0")
    accept = dtls_config(small_pki().publisher_p256, connection_id_bytes=8, retransmission=QUICK)
    async with (
        coap_server(site_of(note=note), endpoint={"accept": accept}) as server,
        Nat.before(server.endpoint) as nat,
        coap_client(connection_id_bytes=0) as client,
    ):
        uri = f"coaps://127.0.0.1:{nat.port}/note"
        asked = client.context.request(Message(code=aiocoap.GET, uri=uri, observe=0))
        notifications = aiter(asked.observation)
        async with asyncio.timeout(PATIENCE):
            assert (await asked.response).payload == b"0"
        (connection,) = server.endpoint.connections
        for number in (b"1", b"2"):
            await nat.rebind()
            before = connection.remote
            assert (await client.get(uri)).payload == note.content, "the new path is known by this"
            await until(lambda before=before: connection.remote != before)
            assert connection.remote == ("127.0.0.1", nat.outer_port)
            note.change(number)
            async with asyncio.timeout(PATIENCE):
                assert (await anext(notifications)).payload == number
        assert server.endpoint.connections == (connection,)
        assert note.observers == 1
        assert {connection_of(request) for request in note.requests} == {connection}
        assert note.requests[-1].remote.hostinfo == f"127.0.0.1:{nat.outer_port}"
        asked.observation.cancel()
