"""Answers that do not fit one datagram: RFC 7959 section 2.4, one block at a time.

It owns the cutting of a payload into blocks, for answers and for notifications alike. It must never
keep anything for a peer: whoever calls it hands in the whole payload.
"""

from __future__ import annotations

import hashlib

import aiocoap
from aiocoap.error import BadRequest

_LARGEST_EXPONENT = 6
"""1024 bytes. 7 stands for transports that are reliable (RFC 8323 section 6), and ours is not."""


def first_block_asked(request: aiocoap.Message) -> bool:
    """Whether ``request`` asks for a payload from its start."""
    return request.opt.block2 is None or request.opt.block2.block_number == 0


def etag_of(payload: bytes) -> bytes:
    """Return the ETag of a payload, 8 bytes: equal payloads have equal ones."""
    return hashlib.sha256(payload).digest()[:8]


def cut_to_block(response: aiocoap.Message, request: aiocoap.Message) -> aiocoap.Message:
    """Cut ``response`` to the block that ``request`` asks for, or to the first if it is too large.

    A payload that fits, and of which no block was asked for, stays as it is. What is cut carries an ETag, so
    that blocks of two payloads are not taken for one (RFC 7959 section 2.4).

    Raises:
        BadRequest: 4.00, the block lies beyond the payload, or has no size.
    """
    asked = request.opt.block2
    if asked is None and len(response.payload) <= request.remote.maximum_payload_size:
        return response
    exponent = min(request.remote.maximum_block_size_exp, _LARGEST_EXPONENT)
    number = 0
    if asked is not None:
        if asked.size_exponent > _LARGEST_EXPONENT:
            raise BadRequest("this block size is reserved")
        # Where the peer asks for larger blocks than fit our datagrams, its number counts those.
        start = asked.block_number << (asked.size_exponent + 4)
        exponent = min(asked.size_exponent, exponent)
        number = start >> (exponent + 4)
    response.opt.etag = etag_of(response.payload)
    size = 1 << (exponent + 4)
    block = response.payload[number * size : (number + 1) * size]
    if number and not block:
        raise BadRequest("there is no such block")
    more = len(response.payload) > (number + 1) * size
    response.opt.block2 = (number, more, exponent)
    response.payload = block
    return response
