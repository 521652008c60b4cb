"""With what a connection to a place is opened: with our certificate, or with the key of a ticket.

It owns that choice. A place that is configured to have a publisher without a certificate is never met with
anything but the key of a ticket for that publisher, and that key is never used at another place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from twoway.dtls import DTLSConfig, PSKCredential
from twoway.errors import CallerError
from twoway.subscriber.audience import KeyedPublisher
from twoway.subscriber.reference import host_form, place_of


class Places:
    """Chooses the credentials for each connection.

    Args:
        certified: how to meet everybody who has a certificate.
        keyed: the publishers that have none.
    """

    def __init__(self, certified: DTLSConfig, keyed: Iterable[KeyedPublisher]) -> None:
        self._certified = certified
        self._keyed = frozenset(place_of(publisher.uri) for publisher in keyed)
        self._keys: dict[tuple[str, int], PSKCredential] = {}

    @contextmanager
    def meeting(self, publisher: KeyedPublisher, key: PSKCredential) -> Iterator[None]:
        """Let connections to ``publisher`` be opened with ``key`` meanwhile."""
        place = place_of(publisher.uri)
        self._keys[place] = key
        try:
            yield
        finally:
            del self._keys[place]

    def config(self, host: str, port: int) -> DTLSConfig:
        """Return the configuration for a handshake with a host and port.

        Raises:
            CallerError: it is the place of a publisher without a certificate, and no key for it is at hand.
        """
        place = (host_form(host), port)
        if place not in self._keyed:
            return self._certified
        if place not in self._keys:
            raise CallerError("there is no ticket for the publisher at this place")
        return replace(self._certified, certificate=None, trust=None, psk=self._keys[place])
