"""CoAP over our connections: an adapter to aiocoap, and the only package that knows aiocoap from inside.

It owns the carrying of messages, what is refused before aiocoap sees it, and the bounds that aiocoap does
not have. It never decides about access: a resource asks :func:`peer_of` who is there and decides.

    context = await open_context(endpoint, site=site, client_config=lambda host, port: config)
    response = await context.request(Message(code=GET, uri="coaps://[::1]:5684/power")).response
"""

from twoway.coap.blocks import BodyLimits
from twoway.coap.context import acknowledge, end_connection, hold_acknowledgements, open_context
from twoway.coap.decoding import MalformedMessage, decode_untrusted
from twoway.coap.failure import TransportFailed
from twoway.coap.remote import SecureRemote, connection_of, peer_of

__all__ = [
    "BodyLimits",
    "MalformedMessage",
    "SecureRemote",
    "TransportFailed",
    "acknowledge",
    "connection_of",
    "decode_untrusted",
    "end_connection",
    "hold_acknowledgements",
    "open_context",
    "peer_of",
]
