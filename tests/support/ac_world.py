"""A small world for the AC's tests: certificates, a ledger, policies and a picture of the registry.

world = ACWorld.make(tmp_path)          # files under tmp_path, nothing running
world.request(credential, ...)          # a token request for the key of a credential
world.decide(request, requester)        # asks the real service, the real policies
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from small_pki import BOTH, CLIENT_AUTH, NOW, Credential, SmallPKI, rsa_key, small_pki

from twoway.ac import (
    Asking,
    Directory,
    Grant,
    Picture,
    Refusal,
    Surroundings,
    TicketRecord,
    TokenService,
    compile_directory,
)
from twoway.ac.config import PublisherSection, ResourceSection
from twoway.ac.signing_keys import SigningKeys
from twoway.identity import Identity, identity_uri
from twoway.pki import LedgerEntry, Role, read_ledger
from twoway.policy import PolicySet
from twoway.tickets import (
    Confirmation,
    Method,
    Scope,
    SharedSecret,
    Ticket,
    TicketVerifier,
    TokenRequest,
    TokenRequestRejected,
    TrustedIssuer,
)

POLICIES = """
@id("same-region")
permit (principal, action, resource)
when { principal.region == resource.publisher.region };

@id("rivals-see-no-history")
forbid (principal, action, resource)
when { resource.path == "/history" && principal.organisation != resource.publisher.organisation };

@id("nobody-deletes")
forbid (principal, action == Twoway::Action::"DELETE", resource);
"""

METER = identity_uri("meter")
BARE = identity_uri("bare")
"""A publisher that the operator wrote into the file and for which no certificate is known."""
HIDDEN = identity_uri("hidden")
"""A certified publisher that offers nothing through the AC."""


_NUMBERS = itertools.count(1)


def scope(*entries: tuple[str, Method]) -> bytes:
    """An encoded scope."""
    return Scope(entries).encode()


SEQUENCES = count()
"""The numbers of all tickets of the tests."""


@dataclass(frozen=True)
class ACWorld:
    """What the AC knows, and whom it meets."""

    folder: Path
    pki: SmallPKI
    ac: Credential
    meter: Credential
    tenant: Credential
    rival: Credential
    """In the meter's region, of another organisation."""
    distant: Credential
    """Of another region."""
    nowhere: Credential
    """Registered without a region."""
    unknown: Credential
    """Certified by the same CA, but in no ledger."""
    ledger: Path
    policies: Path
    records: dict[bytes, TicketRecord] = field(default_factory=dict)
    """The rows of the tickets that were issued, by ``kid`` where there is one, else by ``cti``."""

    @classmethod
    def make(cls, folder: Path, *, policies: str = POLICIES) -> ACWorld:
        """Write ledger and policies under ``folder``."""
        pki = small_pki()
        local = ["localhost", "127.0.0.1", "::1"]

        def mint(name: str, *usages: x509.ObjectIdentifier) -> Credential:
            return pki.ca.mint(name, hosts=local if usages == BOTH else (), usages=usages or (CLIENT_AUTH,))

        (folder / "policies").mkdir(parents=True)
        (folder / "policies" / "rights.cedar").write_text(policies)
        world = cls(
            folder=folder,
            pki=pki,
            ac=pki.ac,
            meter=mint("meter", *BOTH),
            tenant=mint("tenant"),
            rival=mint("rival"),
            distant=mint("distant"),
            nowhere=mint("nowhere"),
            unknown=mint("unknown"),
            ledger=folder / "issued.jsonl",
            policies=folder / "policies",
        )
        north = {"organisation": "House", "region": "north"}
        world.certify(world.meter, Role.PUBLISHER, north)
        world.certify(mint("hidden", *BOTH), Role.PUBLISHER, north)
        world.certify(world.tenant, Role.SUBSCRIBER, north | {"purposes": "billing, alarm", "floor": "3"})
        world.certify(world.rival, Role.SUBSCRIBER, {"organisation": "Rival", "region": "north"})
        world.certify(world.distant, Role.SUBSCRIBER, {"organisation": "House", "region": "south"})
        world.certify(world.nowhere, Role.SUBSCRIBER, {"organisation": "House"})
        world.certify(pki.sink, Role.SINK, north)
        world.certify(pki.ac, Role.AC, {})
        return world

    def certify(self, credential: Credential, role: Role, attributes: Mapping[str, str]) -> LedgerEntry:
        """Append a line to the ledger."""
        name = credential.uri.removeprefix(identity_uri("x")[:-1])
        entry = LedgerEntry.of(name, role, attributes, credential.leaf)
        with self.ledger.open("a") as file:
            file.write(json.dumps(entry.to_json()) + "\n")
            os.fsync(file.fileno())
        return entry

    @property
    def sections(self) -> tuple[PublisherSection, ...]:
        """The ``[[publisher]]`` tables."""
        return (
            PublisherSection(
                identity=METER,
                resources=(
                    ResourceSection(path="/power", methods=("GET",)),
                    ResourceSection(path="/history", methods=("GET", "FETCH")),
                    ResourceSection(path="/alarm", methods=("GET", "PUT", "DELETE", "iPATCH")),
                ),
            ),
            PublisherSection(
                identity=BARE, organisation="House", region="north", resources=(ResourceSection(path="/x"),)
            ),
        )

    def directory(self, *extra: LedgerEntry) -> Directory:
        """The picture that ledger and tables give, with more lines if there are any."""
        return compile_directory([*read_ledger(self.ledger), *extra], self.sections)

    def picture(
        self,
        *,
        directory: Directory | None = None,
        ticket_lifetime: int = 600,
        secrets: Mapping[str, SharedSecret] | None = None,
    ) -> Picture:
        """What the AC knows: the registry and the real policies."""
        assert isinstance(self.ac.private_key, ec.EllipticCurvePrivateKey)
        return Picture(
            issuer=self.ac.uri,
            directory=directory or self.directory(),
            policies=PolicySet.load(self.policies),
            signing_keys=SigningKeys.of_identity(self.ac.private_key),
            secrets=secrets or {},
            ticket_lifetime=ticket_lifetime,
            surroundings=Surroundings(),
        )

    def decide(
        self,
        request: TokenRequest | bytes,
        requester: Identity,
        *,
        now: datetime = NOW,
        host: str = "192.0.2.7",
        picture: Picture | None = None,
        directory: Directory | None = None,
        ticket_lifetime: int = 600,
    ) -> Grant | Refusal:
        """Ask the service, and issue what it approves of with the next number."""
        payload = request if isinstance(request, bytes) else request.encode()
        picture = picture or self.picture(directory=directory, ticket_lifetime=ticket_lifetime)
        service, asking = TokenService(picture, entropy=os.urandom), Asking(requester, host, now)
        parsed = service.read_untrusted(payload, asking)
        if isinstance(parsed, Refusal):
            return parsed
        named = service.named_key(parsed, asking)
        earlier = None if named is None else self.records.get(named.kid)
        decision = service.decide(parsed, asking, earlier=earlier)
        if isinstance(decision, Refusal):
            return decision
        try:
            record, _entry, grant = decision.issue(next(_NUMBERS))
        except TokenRequestRejected as rejected:
            return decision.refuse(rejected)
        self.records[record.kid or record.ticket_id] = record
        return grant

    def verify(self, token: bytes, *, audience: str = METER, now: datetime = NOW) -> Ticket:
        """Judge a ticket as the publisher ``audience`` would."""
        public_key = self.ac.private_key.public_key()
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        verifier = TicketVerifier(audience=audience, issuers=[TrustedIssuer(self.ac.uri, (public_key,))])
        return verifier.verify_untrusted(token, now=now)


def request_for(
    credential: Credential,
    *,
    audience: str | None = METER,
    scope: bytes | None = None,
    **more: object,
) -> TokenRequest:
    """A token request that asks to bind the ticket to the key of ``credential``."""
    key = Confirmation.of_key(credential.spki)
    return TokenRequest(audience=audience, scope=scope, req_cnf=key, **more)  # type: ignore[arg-type]


__all__ = ["BARE", "HIDDEN", "METER", "NOW", "POLICIES", "ACWorld", "request_for", "rsa_key", "scope"]
