"""``/.well-known/core``: which resources there are, as far as the asking peer may read them (RFC 6690).

It owns the link format and its filters. It must never list what the peer may not read: a list for
everybody would tell a stranger the paths that the access check takes care not to confirm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import aiocoap
from aiocoap.error import NotAcceptable
from aiocoap.numbers import ContentFormat
from aiocoap.resource import Resource

from twoway.coap import peer_of
from twoway.identity import Identity
from twoway.publisher.blocks import cut_to_block

_Links = Callable[[Identity], Iterable[tuple[tuple[str, ...], Resource]]]


@dataclass(frozen=True)
class Link:
    """One link of RFC 6690 section 2. What goes in is the operator's and ours: it needs no quoting."""

    path: str
    attributes: dict[str, str | None]
    """None for an attribute without a value, such as ``obs``."""

    def __str__(self) -> str:
        written = (name if value is None else f'{name}="{value}"' for name, value in self.attributes.items())
        return ";".join((f"<{self.path}>", *written))

    def passes(self, query: str) -> bool:
        """Whether it passes one filter (section 4.1): ``rt=reading`` or ``href=/p*``."""
        name, equals, wanted = query.partition("=")
        if not equals:
            return True
        text = self.path if name == "href" else self.attributes.get(name) or ""
        values = {text, *text.split(" ")} - {""}
        if wanted.endswith("*"):
            return any(value.startswith(wanted[:-1]) for value in values)
        return wanted in values


class DiscoveryResource(Resource):  # type: ignore[misc]  # aiocoap ships no types
    """Lists what the asking peer may use.

    Args:
        links: returns the resources that a peer may use now, with their paths.
    """

    ct = str(int(ContentFormat.LINKFORMAT))

    def __init__(self, links: _Links) -> None:
        super().__init__()
        self._links = links

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        """Say no: the list is made anew for each block, and nothing is kept for anybody."""
        return False

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        """Answer with the links that pass every filter of the query.

        Raises:
            NotAcceptable: 4.06, another format is wanted.
        """
        if request.opt.accept not in (None, ContentFormat.LINKFORMAT):
            raise NotAcceptable
        links = [
            Link("/" + "/".join(path), resource.get_link_description())
            for path, resource in self._links(peer_of(request))
        ]
        chosen = [str(link) for link in links if all(link.passes(query) for query in request.opt.uri_query)]
        response = aiocoap.Message(
            code=aiocoap.CONTENT,
            payload=",".join(chosen).encode(),
            content_format=ContentFormat.LINKFORMAT,
        )
        return cut_to_block(response, request)
