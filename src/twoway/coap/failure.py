"""The one exception by which this transport tells aiocoap that a request could not be carried."""

from __future__ import annotations

import aiocoap.error

from twoway.errors import TwowayError


class TransportFailed(aiocoap.error.NetworkError):  # type: ignore[misc]  # aiocoap ships no types
    """A request failed below CoAP: no handshake, or the connection was lost.

    aiocoap hands it to whoever awaits the response. ``str()`` of it is our sentence, and ``__cause__`` is
    the error itself, which tells a refusal from silence.
    """

    def __init__(self, error: TwowayError) -> None:
        super().__init__(str(error))
        self.error = error
        """Why: a NetworkError, PeerError, RefusedError..."""
        self.__cause__ = error

    def __str__(self) -> str:
        return str(self.error)
