"""Uploading a ticket before the handshake, over plain CoAP (RFC 9202 section 3.3.2, RFC 9200 section 5.10.1).

It owns the one exchange that this package makes without DTLS. Nobody proves anything in it: the ticket is
encrypted for the publisher and worth nothing without its key, and the answer is believed only as far as a
forged one does no more harm than a lost one. The handshake that follows shows who is there.
"""

from __future__ import annotations

import asyncio

import aiocoap

from twoway.errors import RefusedError
from twoway.subscriber.exchange import own_errors
from twoway.tickets import CONTENT_FORMAT_CWT


async def upload(uri: str, ticket: bytes, *, timeout: float) -> str:  # noqa: ASYNC109  # for one exchange
    """Post a ticket to ``uri``.

    Args:
        uri: ``coap://host:port/authz-info``.
        ticket: as the AC sent it.
        timeout: seconds to wait for the answer.

    Returns:
        The response code as text, ``2.01 Created``.

    Raises:
        RefusedError: the publisher does not take it.
        NetworkError: nobody answers.
    """
    context = await aiocoap.Context.create_client_context(transports=["simple6"])
    try:
        message = aiocoap.Message(
            code=aiocoap.POST, uri=uri, payload=ticket, content_format=CONTENT_FORMAT_CWT
        )
        with own_errors(uri):
            async with asyncio.timeout(timeout):
                answer = await context.request(message).response
    finally:
        await context.shutdown()
    if not answer.code.is_successful():
        raise RefusedError(f"the publisher answered {answer.code} to the ticket of the AC", where=uri)
    return str(answer.code)
