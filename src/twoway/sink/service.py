"""What a sink decides: who may be stored under which name, what a payload becomes, when to ask again.

It owns the rules and nothing else: no CoAP, no disk, no clock. The rules:

- A peer is the configured publisher or nobody: the URI that its certificate proves, or the pre-shared
  key that only it and this sink hold.
- A record is stored when its resolved name begins with the publisher's own base name, ``URI + "/"``.
  Whatever else a publisher claims to have measured is refused and counted, record by record.
- A record that states no time was measured when it arrived (RFC 8428 section 4.5.3).
- Silence is judged by what the publisher said itself: Max-Age (RFC 7641 section 3.3.1).
"""

from __future__ import annotations

import hmac
from dataclasses import asdict, dataclass

from twoway.errors import PeerError
from twoway.identity import Identity, PSKIdentity, X509Identity
from twoway.readings import MalformedSenML, Pack

DEFAULT_MAX_AGE = 60.0
"""Seconds that a response stays fresh where it states no Max-Age: RFC 7252 section 5.10.5."""

_SILENCE_FACTOR = 3.0
"""How many Max-Ages may pass: one or two lost notifications are the weather, three are a silence."""

_SHORTEST_PATIENCE = 2.0
"""Seconds; a publisher that states a Max-Age of 0 or 1 is not asked in a busy loop."""

_LONGEST_PATIENCE = 900.0
"""Seconds; a publisher that states a Max-Age of years cannot make the sink wait for years."""


@dataclass(frozen=True, slots=True)
class Row:
    """One reading as it is stored; publisher, name and time say which one it is."""

    publisher: str
    """The identity URI that was proved."""
    name: str
    """The resolved SenML name; begins with the publisher's URI and a slash."""
    time: float
    """When it was measured, in UNIX seconds."""
    unit: str | None
    value: float | None
    string_value: str | None
    boolean_value: bool | None
    data_value: bytes | None
    sum: float | None
    update_time: float | None
    arrived_at: float
    """When the sink received it, in UNIX seconds."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of one payload."""

    rows: tuple[Row, ...]
    """The records to store."""
    foreign: tuple[str, ...] = ()
    """The names of records that were refused, since they are not the publisher's to report."""


def require_publisher(peer: Identity, *, expected: str, psk_identity: str | None) -> None:
    """Check that the peer of a handshake is the publisher that the configuration names.

    Args:
        peer: who the peer proved to be.
        expected: the publisher's identity URI.
        psk_identity: the name of the key that it shares with this sink; None where it has a certificate.

    Raises:
        PeerError: it is somebody else, or proved itself in another way.
    """
    match peer:
        case X509Identity() if psk_identity is None:
            proved = hmac.compare_digest(peer.uri.encode(), expected.encode())
        case PSKIdentity() if psk_identity is not None:
            proved = hmac.compare_digest(peer.psk_identity, psk_identity.encode())
        case _:
            proved = False
    if not proved:
        raise PeerError(
            f"the peer proved to be {peer.uri}, not {expected}",
            remedy="correct the publisher's uri or identity in the sink's configuration",
        )


def take_untrusted(
    payload: bytes, content_format: int | None, *, publisher: str, arrived_at: float
) -> Intake:
    """Turn the payload of a publisher's response into rows.

    Args:
        payload: a SenML pack.
        content_format: 112 for CBOR, 110 for JSON (RFC 8428 section 12.3).
        publisher: the identity URI that the sender proved.
        arrived_at: UNIX seconds.

    Raises:
        MalformedSenML: the payload is no SenML pack, or is declared as something else.
    """
    if content_format is None:
        raise MalformedSenML("the payload does not state a content format")
    records = Pack.decode_untrusted(payload, content_format, now=arrived_at)
    base_name = f"{publisher}/"
    return Intake(
        rows=tuple(
            Row(publisher=publisher, arrived_at=arrived_at, **asdict(record))
            for record in records
            if record.name.startswith(base_name)
        ),
        foreign=tuple(record.name for record in records if not record.name.startswith(base_name)),
    )


def patience(max_age: float | None, max_silence: float | None) -> float:
    """Return for how many seconds a followed publisher may be silent before it is asked again.

    Args:
        max_age: the Max-Age of its latest response; None where it stated none.
        max_silence: what the operator configured; it wins.
    """
    if max_silence is not None:
        return max_silence
    stated = _SILENCE_FACTOR * (DEFAULT_MAX_AGE if max_age is None else max_age)
    return min(max(stated, _SHORTEST_PATIENCE), _LONGEST_PATIENCE)


class Pauses:
    """The pauses between attempts on a publisher: doubling, bounded, short again after progress.

    Args:
        initial: the first pause, in seconds.
        longest: the longest, in seconds.
    """

    def __init__(self, initial: float, longest: float) -> None:
        self._initial = min(initial, longest)
        self._longest = longest
        self._next = self._initial

    def next(self, *, progressed: bool) -> float:
        """Return the pause before the next attempt; ``progressed`` if the last one brought a reading."""
        pause = self._initial if progressed else self._next
        self._next = min(2 * pause, self._longest)
        return pause
