"""The name under which a revoked ticket is listed: its token hash (RFC 9770 section 4).

The AC, the holder and the publisher each compute it from the bytes of the ticket alone. It identifies a
ticket only because a ticket can be written in one way only (:mod:`twoway.tickets.cose`).
"""

from __future__ import annotations

import base64
import hashlib

TOKEN_HASH_BYTES = 33
"""The number of the hash function and a SHA-256."""
SHA_256 = b"\x01"
"""SHA-256 among the Named Information hash algorithms (RFC 6920 section 9.4)."""


def token_hash(access_token: bytes) -> bytes:
    """Return the token hash of a ticket that travels in CBOR, 33 bytes.

    Args:
        access_token: the ticket as it stands in ``access_token``, or as it is uploaded.

    The hash is taken over the base64url text of the ticket without padding (RFC 9770 section 4.2.1) and
    written in the binary format of RFC 6920 section 6.
    """
    text = base64.urlsafe_b64encode(access_token).rstrip(b"=")
    return SHA_256 + hashlib.sha256(text).digest()
