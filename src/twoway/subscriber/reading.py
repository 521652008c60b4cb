"""A reading: what a publisher measured, with the proof of who it was.

It owns the value that a caller gets and the way from a response's payload to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from twoway.identity import Identity
from twoway.readings import MalformedSenML, Pack, Record


@dataclass(frozen=True, slots=True)
class Reading:
    """What one response or notification carried."""

    records: tuple[Record, ...]
    """The SenML records, resolved (RFC 8428 section 4.6)."""
    content_format: int
    """112 for SenML in CBOR, 110 in JSON."""
    peer: Identity
    """Who served it, as proved in the handshake."""
    uri: str
    """What was asked for."""

    @classmethod
    def parse_untrusted(
        cls, payload: bytes, content_format: int | None, *, now: float, peer: Identity, uri: str
    ) -> Self:
        """Decode the payload of a response.

        Args:
            payload: a SenML pack.
            content_format: as the response states it.
            now: when it arrived, in seconds since 1970, for relative times.
            peer: who sent it.
            uri: what was asked for.

        Raises:
            MalformedSenML: it is no SenML pack, or of another content format.
        """
        if content_format is None:
            raise MalformedSenML("the publisher does not state a content format", where=uri)
        return cls(tuple(Pack.decode_untrusted(payload, content_format, now=now)), content_format, peer, uri)
