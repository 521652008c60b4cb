"""What the publisher answers: readings, the upload of tickets, and the list of what there is.

It owns the way between CoAP and values: decode, call, encode. It must never decide who may do what:
a request that gets here has passed :mod:`twoway.publisher.guard`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import aiocoap
from aiocoap.error import NotAcceptable, ServiceUnavailable
from aiocoap.pipe import Pipe
from aiocoap.resource import ObservableResource

from twoway.coap import connection_of
from twoway.net import Connection
from twoway.publisher.blocks import cut_to_block, etag_of, first_block_asked
from twoway.readings import CONTENT_FORMAT_SENML_CBOR, CONTENT_FORMAT_SENML_JSON, Pack, Record

_CONTENT_FORMATS = (CONTENT_FORMAT_SENML_JSON, CONTENT_FORMAT_SENML_CBOR)

CONFIRMED_OBSERVERS = 64
"""Up to so many observers each notification is confirmable: a reading is worth its acknowledgement, a
lost one is sent again, and an observer that has gone is noticed by itself. The cost of acknowledgements
grows with the square of the observers, so beyond this number most notifications go out unconfirmed."""

CONFIRMED_EVERY = 8
"""With more observers, every so many readings a confirmable one still finds out who has gone
(RFC 7641 section 4.5 asks for one in 24 hours at least)."""


class ReadingResource(ObservableResource):  # type: ignore[misc]  # aiocoap ships no types
    """The latest reading of one source, as a SenML pack in CBOR or JSON (RFC 8428), observable.

    Args:
        base_name: what the names of all its records begin with.
        interval: seconds between two readings.
        resource_type: its ``rt`` in ``/.well-known/core``.
    """

    def __init__(self, *, base_name: str, interval: float, resource_type: str) -> None:
        super().__init__()
        self._base_name = base_name
        # A second beyond the interval, so that a reading stays fresh until its successor has arrived.
        self._max_age = math.ceil(interval) + 1
        self._encoded: dict[int, bytes] = {}
        self._readings = 0
        self._observers = 0
        self._sent: WeakKeyDictionary[Connection, dict[int, bytes]] = WeakKeyDictionary()
        self.rt = resource_type
        self.ct = " ".join(map(str, _CONTENT_FORMATS))

    def publish(self, records: Sequence[Record]) -> None:
        """Take a new reading, and notify the observers.

        Raises:
            CallerError: SenML cannot carry these records; the reading before stays.
        """
        pack = Pack(records, self._base_name)
        self._encoded = {content_format: pack.encode(content_format) for content_format in _CONTENT_FORMATS}
        self._readings += 1
        self.updated_state()

    def update_observation_count(self, newcount: int) -> None:
        """Hear from the library how many observers there are."""
        self._observers = newcount

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        """Say no: blocks are cut here, where notifications are as well."""
        return False

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer; a request for a later block starts no observation (RFC 7959 section 2.6)."""
        if not first_block_asked(pipe.request):
            pipe.request.opt.observe = None
        await super().render_to_pipe(pipe)

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        """Answer with the latest reading.

        Raises:
            ServiceUnavailable: 5.03, the source has given none yet.
            NotAcceptable: 4.06, a format other than SenML in CBOR or JSON is wanted.
        """
        content_format = CONTENT_FORMAT_SENML_CBOR if request.opt.accept is None else int(request.opt.accept)
        if content_format not in _CONTENT_FORMATS:
            raise NotAcceptable
        if not self._encoded:
            raise ServiceUnavailable("no reading yet")
        payload = self._payload_for(request, content_format)
        response = aiocoap.Message(
            code=aiocoap.CONTENT,
            payload=payload,
            content_format=content_format,
            max_age=self._max_age,
            etag=etag_of(payload),
        )
        if request.opt.observe == 0:
            response.transport_tuning = aiocoap.Reliable() if self._confirmable() else aiocoap.Unreliable()
        if response.opt.etag in request.opt.etags:
            response.code, response.payload, response.opt.content_format = aiocoap.VALID, b"", None
            return response
        response = cut_to_block(response, request)
        if response.opt.block2 is not None and first_block_asked(request):
            self._sent.setdefault(connection_of(request), {})[content_format] = payload
        return response

    def _payload_for(self, request: aiocoap.Message, content_format: int) -> bytes:
        """Return the latest reading, or the older one that the peer has begun to fetch."""
        latest = self._encoded[content_format]
        if first_block_asked(request):
            return latest
        return self._sent.get(connection_of(request), {}).get(content_format, latest)

    def _confirmable(self) -> bool:
        return self._observers <= CONFIRMED_OBSERVERS or self._readings % CONFIRMED_EVERY == 0
