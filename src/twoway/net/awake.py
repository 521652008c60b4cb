"""Who is awake: the connections that keep their ciphers at hand, those that were used last.

The ciphers of an association take about as much memory as all the rest of it, and are made again from its
keys when the next record needs them.
"""

from __future__ import annotations

from collections import OrderedDict

from twoway.net.link import Link


class Awake:
    """The links that were used last; every other one is put to rest.

    Args:
        most: how many may be awake at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._links: OrderedDict[Link, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._links)

    def use(self, link: Link) -> None:
        """Note that a link is being used, and put the one to rest that was not for the longest time."""
        self._links[link] = None
        self._links.move_to_end(link)
        if len(self._links) > self._most:
            idle, _ = self._links.popitem(last=False)
            idle.association.rest()

    def forget(self, link: Link) -> None:
        """Drop a link that is over."""
        self._links.pop(link, None)
