"""What a handshake claims and has yet to prove finds a ticket, and keeps none: a name is no use of it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from publisher_world import AC, METER, NOW, TOKEN_URI, IssuingAC, peer

from twoway.identity import PSKIdentity, RawPublicKeyIdentity
from twoway.publisher.authority import Authority
from twoway.publisher.holdings import Holdings
from twoway.publisher.service import AccessControl
from twoway.tickets import KeyName, SharedSecret, SigningKey
from twoway.tickets.store import UNUSED_TIMEOUT

SECRET = SharedSecret(bytes(range(32)))
KID = b"first-01"
NAMED = PSKIdentity(KeyName(KID).encode())
LATER = NOW + timedelta(seconds=UNUSED_TIMEOUT)
LIFE = 2 * UNUSED_TIMEOUT


class World:
    """A publisher that has one ticket for a symmetric key and one for a raw public key."""

    def __init__(self) -> None:
        ac, holder = IssuingAC(), peer("raw")
        self.raw = RawPublicKeyIdentity(holder.spki)
        authority = Authority(
            token_uri=TOKEN_URI,
            issuer=AC,
            audience=METER,
            keys=[SigningKey(ac.key.public_key())],
            certified_until=NOW + timedelta(days=365),
            secret=SECRET,
        )
        self.access = AccessControl(Holdings(authority), audience=METER, raw_public_keys=True)
        self.symmetric = ac.shared_ticket(SECRET, KID, seconds=LIFE)
        self.access.upload_untrusted(self.symmetric.encoded, peer("somebody"), now=NOW)
        self.access.upload_untrusted(ac.ticket(holder, seconds=LIFE), peer("somebody"), now=NOW)

    def kept(self) -> int:
        self.access.holdings.drop_expired(LATER)
        return len(list(self.access.holdings))


def test_naming_keys_without_proof_keeps_no_ticket():
    world = World()
    assert world.access.shared_key_untrusted(NAMED, now=NOW) == world.symmetric.confirmation.key
    assert world.access.believes(world.raw, now=NOW)
    assert world.kept() == 0


@pytest.mark.parametrize("proved", ["symmetric", "raw"])
def test_proving_a_key_keeps_its_ticket_alone(proved):
    world = World()
    who = NAMED if proved == "symmetric" else world.raw
    world.access.require_standing(who, now=NOW)
    assert world.kept() == 1
    world.access.require_standing(who, now=LATER)
