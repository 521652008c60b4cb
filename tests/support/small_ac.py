"""An AC as far as a publisher asks it: its revoked tickets, its signing keys, what it says of a ticket.

async with small_ac(pki.ac) as ac:
    ac.revoke(token_hash(ticket))          # observers are notified
    ac.is_muted = True                      # notifications are held back, answers are not
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiocoap
from aiocoap.resource import ObservableResource, Resource, Site
from cryptography.hazmat.primitives.asymmetric import ec
from small_pki import Credential

from twoway import strict_cbor
from twoway.coap import open_context, peer_of
from twoway.dtls import CertificateCredential, DTLSConfig
from twoway.net import Endpoint
from twoway.tickets import (
    CONTENT_FORMAT_ACE,
    CONTENT_FORMAT_COSE_KEY_SET,
    CONTENT_FORMAT_TRL,
    DiffEntry,
    DiffSet,
    FullSet,
    IntrospectionRequest,
    SigningKey,
    TRLQuery,
    cose,
    encode_key_set,
)


class _Observable(ObservableResource):
    """Counts the questions; answers with what ``answer`` returns for the queries."""

    def __init__(self, ac: SmallAC, path: str, content_format: int, answer) -> None:
        super().__init__()
        self.ac, self.path, self.answer, self.content_format = ac, path, answer, content_format

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        self.ac.asked.append((self.path, *request.opt.uri_query))
        self.ac.askers.add(peer_of(request).uri)
        payload = self.answer(request.opt.uri_query)
        return aiocoap.Message(
            payload=payload, content_format=self.content_format, code=self.ac.code or aiocoap.CONTENT
        )


class _Introspect(Resource):
    """Vouches for every ticket of its own form but those that are denied."""

    def __init__(self, ac: SmallAC) -> None:
        super().__init__()
        self.ac = ac

    async def render_post(self, request: aiocoap.Message) -> aiocoap.Message:
        self.ac.asked.append(("/introspect",))
        token = IntrospectionRequest.parse_untrusted(request.payload).token
        answer: dict[object, object] = {10: token not in self.ac.denied}
        if answer[10]:
            answer |= strict_cbor.decode_untrusted(cose.parse1_untrusted(self.ac.instead or token).payload)
        return aiocoap.Message(
            code=self.ac.code or aiocoap.CREATED,
            payload=strict_cbor.encode(answer),
            content_format=CONTENT_FORMAT_ACE,
        )


@dataclass
class SmallAC:
    key: ec.EllipticCurvePrivateKey
    uri: str = ""
    keys: list[SigningKey] = field(default_factory=list)
    changes: list[DiffEntry] = field(default_factory=list)
    """The series of changes, the oldest first."""
    forgotten: int = 0
    """How many of the oldest changes are no longer told."""
    batch: int = 2
    """Changes in one answer."""
    has_differences: bool = True
    conceals: bool = False
    """Whether each answer about changes says that there are none."""
    is_muted: bool = False
    code: aiocoap.Code | None = None
    """Answer everything with this error, and what would have been said in its body."""
    denied: set[bytes] = field(default_factory=set)
    """Tickets that introspection does not vouch for."""
    instead: bytes | None = None
    """A ticket to vouch for in the place of the one that it is asked about."""
    asked: list[tuple[str, ...]] = field(default_factory=list)
    askers: set[str] = field(default_factory=set)
    endpoint: Endpoint | None = None

    def __post_init__(self) -> None:
        self.keys = [SigningKey(self.key.public_key())]
        self.trl = _Observable(self, "/revoke/trl", CONTENT_FORMAT_TRL, self._trl)
        self.key_set = _Observable(
            self, "/keys", CONTENT_FORMAT_COSE_KEY_SET, lambda queries: encode_key_set(self.keys)
        )

    def revoke(self, *hashes: bytes) -> None:
        self._change(DiffEntry(added=frozenset(hashes)))

    def delist(self, *hashes: bytes) -> None:
        self._change(DiffEntry(removed=frozenset(hashes)))

    def sign_with(self, *keys: ec.EllipticCurvePrivateKey) -> None:
        self.keys = [SigningKey(key.public_key()) for key in keys]
        if not self.is_muted:
            self.key_set.updated_state()

    @property
    def full_set(self) -> FullSet:
        everything = DiffSet(tuple(reversed(self.changes)), None, more=False)
        return FullSet(everything.apply_to(()), len(self.changes) - 1 if self.changes else None)

    def _change(self, entry: DiffEntry) -> None:
        self.changes.append(entry)
        if not self.is_muted:
            self.trl.updated_state()

    def _trl(self, queries) -> bytes:
        query = TRLQuery.parse_untrusted(queries)
        if query.diff is None or not self.has_differences:
            return self.full_set.encode()
        if self.conceals:
            return DiffSet((), query.cursor, more=False).encode()
        first = 0 if query.cursor is None else query.cursor + 1
        if first < self.forgotten:
            return DiffSet((), None, more=True).encode()
        entries = self.changes[first : first + self.batch]
        cursor = first + len(entries) - 1 if entries else query.cursor
        more = first + len(entries) < len(self.changes)
        return DiffSet(tuple(reversed(entries)), cursor, more).encode()

    def site(self) -> Site:
        site = Site()
        site.add_resource(["revoke", "trl"], self.trl)
        site.add_resource(["keys"], self.key_set)
        site.add_resource(["introspect"], _Introspect(self))
        return site


@asynccontextmanager
async def small_ac(
    credential: Credential, *, port: int = 0, ac: SmallAC | None = None
) -> AsyncIterator[SmallAC]:
    """Serve an AC with a credential; its ``uri`` is that of its token endpoint."""
    config = DTLSConfig(
        certificate=CertificateCredential(credential.chain, credential.private_key), trust=credential.trust
    )
    ac = ac or SmallAC(credential.private_key)
    async with await Endpoint.open(host="127.0.0.1", port=port, accept=config) as endpoint:
        context = await open_context(endpoint, site=ac.site())
        ac.endpoint, ac.uri = endpoint, f"coaps://127.0.0.1:{endpoint.address[1]}/token"
        try:
            yield ac
        finally:
            # In this order, whoever is being answered at this moment is let go in good order.
            await endpoint.close()
            await context.shutdown()
