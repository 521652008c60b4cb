"""A publisher's small world for its tests: peers with real keys, an AC that issues real tickets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from twoway.identity import X509Identity, identity_uri
from twoway.publisher.authority import Authority
from twoway.publisher.holdings import Holdings
from twoway.publisher.revocation import RevokedTickets
from twoway.publisher.service import AccessControl
from twoway.tickets import (
    DEFAULT_NUMBERS,
    Confirmation,
    ExiLedger,
    Method,
    ProvisionalNumbers,
    Scope,
    SharedSecret,
    SigningKey,
    SymmetricConfirmation,
    Ticket,
    TicketIssuer,
    TicketStore,
    ticket_id,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
METER = identity_uri("meter")
AC = identity_uri("ac")
TOKEN_URI = "coaps://ac.example/token"
POWER = Scope((("/power", Method.GET),))


def spki_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def peer(name: str, *, uri: str | None = None, spki: bytes | None = None, days: int = 30) -> X509Identity:
    """Somebody who proved a fresh P-256 key, or the key ``spki``."""
    spki = spki or spki_of(ec.generate_private_key(ec.SECP256R1()))
    return X509Identity(uri or identity_uri(name), spki, (b"certificate",), NOW + timedelta(days=days))


@dataclass
class IssuingAC:
    """An AC as far as tickets go: its key, and what it issues with it."""

    uri: str = AC
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    sequences: Iterator[int] = field(default_factory=count)

    def ticket(
        self,
        holder: X509Identity,
        scope: Scope = POWER,
        *,
        audience: str = METER,
        at: datetime = NOW,
        seconds: int = 600,
        compact: bool = False,
        certificate: bytes | None = None,
        cnonce: bytes | None = None,
        exi: int | None = None,
        sequence: int | None = None,
        numbers: ProvisionalNumbers = DEFAULT_NUMBERS,
    ) -> bytes:
        """A signed ticket; ``certificate`` pins the holder's certificate beside its key."""
        pin = None if certificate is None else sha256(certificate).digest()
        issuer = TicketIssuer(issuer=self.uri, private_key=self.key, entropy=os.urandom, numbers=numbers)
        return issuer.issue(
            subject=holder.uri,
            audience=audience,
            scope=scope,
            confirmation=Confirmation.of_key(holder.spki, compact=compact, certificate_sha256=pin),
            ticket_id=ticket_id(audience, next(self.sequences) if sequence is None else sequence),
            now=at,
            lifetime_seconds=seconds,
            not_after=holder.not_after,
            cnonce=cnonce,
            exi=exi,
        ).encoded

    def shared_ticket(
        self,
        secret: SharedSecret,
        kid: bytes,
        scope: Scope = POWER,
        *,
        subject: str = "urn:dev:org:32473-light",
        key: bytes | None = None,
        audience: str = METER,
        at: datetime = NOW,
        seconds: int = 600,
    ) -> Ticket:
        """An encrypted ticket for a symmetric key: ``key``, or one that is derived from the ticket."""
        issuer = TicketIssuer(issuer=self.uri, private_key=self.key, entropy=os.urandom)
        return issuer.issue(
            subject=subject,
            audience=audience,
            scope=scope,
            confirmation=SymmetricConfirmation(kid, key),
            ticket_id=ticket_id(audience, next(self.sequences)),
            now=at,
            lifetime_seconds=seconds,
            not_after=at + timedelta(days=1),
            secret=secret,
        )

    def authority(
        self, *, audience: str = METER, days: int = 365, exi_ledger: ExiLedger | None = None
    ) -> Authority:
        return Authority(
            token_uri=TOKEN_URI,
            issuer=self.uri,
            audience=audience,
            keys=[SigningKey(self.key.public_key())],
            certified_until=NOW + timedelta(days=days),
            exi_ledger=exi_ledger,
        )


def access_control(
    ac: IssuingAC | None,
    *defaults: str,
    capacity: int = 16,
    days: int = 365,
    revoked: RevokedTickets | None = None,
) -> AccessControl:
    holdings = Holdings(
        ac.authority(days=days) if ac is not None else None,
        tickets=TicketStore(capacity=capacity),
        revoked=revoked,
    )
    return AccessControl(holdings, audience=METER, default_subscribers=defaults)
