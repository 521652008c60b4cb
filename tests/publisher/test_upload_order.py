"""The checks of an upload in the order of RFC 9200 section 5.10.1.1: of two faults the first gives the code.

The response codes are those of the RFC; that what the RFC leaves open comes last is ours.
"""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import combinations

import pytest
from publisher_world import METER, NOW, TOKEN_URI, peer
from ticket_forge import (
    ABSENT,
    AC_KEY,
    AC_URI,
    EXP,
    IAT,
    OTHER_AC_KEY,
    OTHER_AC_KEY_ID,
    SCOPE,
    claims,
    signed,
)

from twoway import strict_cbor
from twoway.publisher.authority import Authority
from twoway.publisher.holdings import Holdings
from twoway.publisher.revocation import RevokedTickets
from twoway.publisher.service import AccessControl
from twoway.tickets import (
    Confirmation,
    FreshNonces,
    FullSet,
    SigningKey,
    TicketReason,
    TicketRejected,
    token_hash,
)

NONCES = FreshNonces(key=bytes(32), lifetime_seconds=60, entropy=os.urandom)
READER = peer("reader")


class Everything:
    """A publisher that asks for all that can be asked for."""

    def __init__(self) -> None:
        self.revoked = RevokedTickets(monotonic=lambda: 0.0)
        authority = Authority(
            token_uri=TOKEN_URI,
            issuer=AC_URI,
            audience=METER,
            keys=[SigningKey(AC_KEY.public_key())],
            certified_until=NOW + timedelta(days=365),
            nonces=NONCES,
        )
        holdings = Holdings(authority, revoked=self.revoked, wants_certificate_pin=True)
        self.access = AccessControl(holdings, audience=METER)

    def code(self, ticket: bytes) -> tuple[int, int] | None:
        """The response code of a refusal; None for a ticket that is taken."""
        try:
            self.access.upload_untrusted(ticket, READER, now=NOW)
        except TicketRejected as rejection:
            self.reason = rejection.reason
            return rejection.reason.response_code
        return None


def good_claims() -> dict[str, object]:
    shift = int(NOW.timestamp()) - IAT
    return {
        "iss": AC_URI,
        "sub": READER.uri,
        "aud": METER,
        "iat": IAT + shift,
        "exp": EXP + shift,
        "scope": SCOPE.encode(),
        "cnonce": NONCES.issue(NOW),
        "cnf": Confirmation.of_key(READER.spki, certificate_sha256=bytes(32)).claim(),
    }


FAULTS = {
    "signature": (4, 1),
    "claims": (4, 0),
    "issuer": (4, 1),
    "time": (4, 1),
    "audience": (4, 3),
    "scope": (4, 0),
    "nonce": (4, 1),
    "confirmation": (4, 0),
    "revoked": (4, 1),
}
"""In the order in which they are looked for; shape, the first of all, stands by itself below."""


def ticket_with(faults: set[str], world: Everything) -> bytes:
    changes = good_claims()
    if "claims" in faults:
        changes["sub"] = ABSENT
    if "issuer" in faults:
        changes["iss"] = "urn:dev:org:32473-other-ac"
    if "time" in faults:
        changes["exp"] = int(NOW.timestamp())
    if "audience" in faults:
        changes["aud"] = "urn:dev:org:32473-other-meter"
    if "scope" in faults:
        changes["scope"] = "text"
    if "nonce" in faults:
        changes["cnonce"] = ABSENT
    if "confirmation" in faults:
        changes["cnf"] = {}
    payload = strict_cbor.encode(claims(**changes))
    ticket = signed(payload, key=OTHER_AC_KEY) if "signature" in faults else signed(payload)
    if "revoked" in faults:
        world.revoked.take_full(FullSet(frozenset({token_hash(ticket)})))
    return ticket


def test_a_ticket_without_a_fault_is_taken():
    world = Everything()
    assert world.code(ticket_with(set(), world)) is None


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_by_itself_has_its_code(fault):
    world = Everything()
    assert world.code(ticket_with({fault}, world)) == FAULTS[fault]


@pytest.mark.parametrize(("first", "second"), list(combinations(FAULTS, 2)))
def test_of_two_faults_the_first_gives_the_reason(first, second):
    alone, both = Everything(), Everything()
    alone.code(ticket_with({first}, alone))
    assert both.code(ticket_with({first, second}, both)) == FAULTS[first]
    assert both.reason is alone.reason


def test_what_is_no_ticket_is_a_bad_request_whatever_else_it_is():
    world = Everything()
    assert world.code(ticket_with({"signature"}, world)[:-1]) == (4, 0)
    assert world.code(b"") == (4, 0)


def test_a_key_that_nobody_vouched_for_is_found_before_any_claim_is_read():
    world = Everything()
    assert world.code(signed(b"no claims", key=OTHER_AC_KEY, key_id=OTHER_AC_KEY_ID)) == (4, 1)
    assert world.reason is TicketReason.UNKNOWN_ISSUER
