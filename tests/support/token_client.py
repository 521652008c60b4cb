"""Asking a running AC for a ticket by hand, where a test needs the ticket itself.

async with client(deployment.identity("reader")) as reader:
    granted = await obtain(deployment.token_uri, reader, identity_uri("meter"), "/count", key=reader_spki)
"""

from __future__ import annotations

import aiocoap
from publisher_running import Client

from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    Confirmation,
    KeyReference,
    Method,
    Scope,
    TokenError,
    TokenRequest,
    TokenResponse,
)


async def ask_for_ticket(
    token_uri: str,
    client: Client,
    audience: str,
    *paths: str,
    req_cnf: Confirmation | KeyReference | None = None,
) -> TokenResponse | TokenError:
    """Ask for a ticket to GET the paths; without ``req_cnf``, for one with a symmetric key."""
    scope = Scope(tuple((path, Method.GET) for path in paths)).encode()
    answer = await client.ask(
        aiocoap.POST,
        token_uri,
        payload=TokenRequest(audience=audience, scope=scope, req_cnf=req_cnf).encode(),
        content_format=CONTENT_FORMAT_ACE,
    )
    if answer.code is aiocoap.CREATED:
        return TokenResponse.parse_untrusted(answer.payload)
    return TokenError.parse_untrusted(answer.payload)


async def obtain(
    token_uri: str,
    client: Client,
    audience: str,
    *paths: str,
    req_cnf: Confirmation | KeyReference | None = None,
) -> TokenResponse:
    """The same, where a ticket has to come."""
    granted = await ask_for_ticket(token_uri, client, audience, *paths, req_cnf=req_cnf)
    assert isinstance(granted, TokenResponse), granted
    return granted
