"""What a publisher holds: how a ticket gets in, by which key it is found again, and how it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from publisher_world import AC, METER, NOW, TOKEN_URI, IssuingAC, peer

from twoway.errors import CallerError
from twoway.identity import PSKIdentity, RawPublicKeyIdentity, Unauthenticated
from twoway.publisher.authority import Authority
from twoway.publisher.holdings import Holdings
from twoway.publisher.revocation import RevokedTickets
from twoway.tickets import (
    ExiLedger,
    FullSet,
    KeyName,
    SharedSecret,
    SigningKey,
    Ticket,
    TicketReason,
    TicketRejected,
    TicketStore,
    token_hash,
)

SECRET = SharedSecret(bytes(range(16)))
KID = b"nametag8"
MOMENT = timedelta(microseconds=1)


class Scene:
    """An AC, and what one publisher holds of it."""

    def __init__(self, *, exi_ledger: ExiLedger | None = None, **more: object) -> None:
        self.ac = IssuingAC()
        self.reader = peer("reader")
        self.authority = Authority(
            token_uri=TOKEN_URI,
            issuer=AC,
            audience=METER,
            keys=[SigningKey(self.ac.key.public_key())],
            certified_until=NOW + timedelta(days=1),
            secret=SECRET,
            exi_ledger=exi_ledger,
        )
        self.holdings = Holdings(self.authority, **more)  # type: ignore[arg-type]

    def take(self, encoded: bytes) -> Ticket:
        ticket = self.holdings.verify_untrusted(encoded, now=NOW)
        self.holdings.keep(ticket, now=NOW)
        return ticket

    def present(self, kid: bytes = KID) -> PSKIdentity:
        """Present a new ticket for a key of this name."""
        encoded = self.ac.shared_ticket(SECRET, kid).encoded
        self.holdings.present_untrusted(encoded, now=NOW)
        return PSKIdentity(encoded)


def reason(refused: Callable[[], object]) -> TicketReason:
    with pytest.raises(TicketRejected) as caught:
        refused()
    return caught.value.reason


def revoked(*encoded: bytes) -> RevokedTickets:
    found = RevokedTickets(monotonic=lambda: 0.0)
    found.take_full(FullSet(frozenset(map(token_hash, encoded))))
    return found


class TestVerifying:
    def test_without_an_authority_there_are_no_tickets(self):
        with pytest.raises(CallerError, match="takes no tickets"):
            Holdings(None).verify_untrusted(b"", now=NOW)

    def test_a_ticket_counts_until_the_moment_at_which_the_acs_certificate_ends(self):
        scene = Scene()
        encoded = scene.ac.ticket(scene.reader, seconds=3 * 86_400)
        end = scene.authority.valid_until
        scene.holdings.verify_untrusted(encoded, now=end - MOMENT)
        over = reason(lambda: scene.holdings.verify_untrusted(encoded, now=end))
        assert over is TicketReason.UNKNOWN_ISSUER

    def test_where_a_pin_is_wanted_a_ticket_without_one_is_refused(self):
        scene = Scene(wants_certificate_pin=True)
        scene.take(scene.ac.ticket(scene.reader, certificate=scene.reader.chain[0]))
        for encoded in (scene.ac.ticket(scene.reader), scene.ac.shared_ticket(SECRET, KID).encoded):
            assert reason(lambda encoded=encoded: scene.take(encoded)) is TicketReason.NO_CONFIRMATION


class TestKeeping:
    def test_what_is_verified_is_not_kept_by_that(self):
        scene = Scene()
        scene.holdings.verify_untrusted(scene.ac.ticket(scene.reader), now=NOW)
        assert list(scene.holdings) == []

    def test_a_ticket_that_lives_from_first_sight_is_written_down_before_it_is_kept(self):
        """RFC 9770 section 11.1: a revoked one as well."""
        seen: list[tuple[str, int]] = []
        scene = Scene(
            exi_ledger=ExiLedger(),
            record=lambda ticket: seen.append((ticket.subject, len(list(scene.holdings)))),
        )
        scene.take(scene.ac.ticket(scene.reader))
        assert seen == []
        scene.take(scene.ac.ticket(scene.reader, exi=60))
        assert seen == [(scene.reader.uri, 1)]
        encoded = scene.ac.ticket(peer("other"), exi=60)
        listing = Holdings(
            scene.authority, record=lambda ticket: seen.append((ticket.subject, 9)), revoked=revoked(encoded)
        )
        ticket = listing.verify_untrusted(encoded, now=NOW)
        assert reason(lambda: listing.keep(ticket, now=NOW)) is TicketReason.REVOKED
        assert seen[1:] == [(peer("other").uri, 9)]

    def test_a_ticket_that_cannot_be_written_down_is_not_kept(self):
        def fail(_: Ticket) -> None:
            raise TicketRejected(TicketReason.NOT_RECORDED)

        scene = Scene(exi_ledger=ExiLedger(), record=fail)
        encoded = scene.ac.ticket(scene.reader, exi=60)
        assert reason(lambda: scene.take(encoded)) is TicketReason.NOT_RECORDED
        assert list(scene.holdings) == []

    def test_a_revoked_ticket_is_not_kept(self):
        ac, reader = IssuingAC(), peer("reader")
        encoded, other = ac.ticket(reader), ac.ticket(reader)
        holdings = Holdings(ac.authority(), revoked=revoked(encoded))
        ticket = holdings.verify_untrusted(encoded, now=NOW)
        assert reason(lambda: holdings.keep(ticket, now=NOW)) is TicketReason.REVOKED
        assert list(holdings) == []
        holdings.keep(holdings.verify_untrusted(other, now=NOW), now=NOW)
        assert [kept.encoded for kept in holdings] == [other]

    def test_the_store_that_is_handed_in_is_the_one_that_is_used_even_while_it_is_empty(self):
        store = TicketStore(capacity=1)
        scene = Scene(tickets=store)
        scene.take(scene.ac.ticket(scene.reader))
        assert len(store) == 1


class TestFinding:
    def test_a_certified_peer_is_found_by_key_and_certificate(self):
        scene = Scene()
        pinned = scene.take(scene.ac.ticket(scene.reader, certificate=scene.reader.chain[0]))
        assert scene.holdings.ticket_of(scene.reader, NOW) == pinned
        for other in (
            replace(scene.reader, chain=(b"renewed", scene.reader.chain[0])),
            replace(scene.reader, chain=()),
            peer("reader"),
            RawPublicKeyIdentity(scene.reader.spki),
        ):
            assert scene.holdings.ticket_of(other, NOW) is None

    def test_a_raw_key_is_found_by_itself(self):
        scene = Scene()
        ticket = scene.take(scene.ac.ticket(scene.reader))
        assert scene.holdings.ticket_of(RawPublicKeyIdentity(scene.reader.spki), NOW) == ticket
        assert scene.holdings.ticket_of(RawPublicKeyIdentity(peer("x").spki), NOW) is None

    def test_whoever_proved_nothing_has_no_ticket(self):
        scene = Scene()
        scene.take(scene.ac.ticket(scene.reader))
        assert scene.holdings.ticket_of(Unauthenticated(), NOW) is None

    def test_a_shared_key_is_found_by_its_name_while_its_ticket_is_valid(self):
        scene = Scene()
        ticket = scene.take(scene.ac.shared_ticket(SECRET, KID).encoded)
        named = PSKIdentity(KeyName(KID).encode())
        assert scene.holdings.kid_of(named) == KID
        assert scene.holdings.ticket_of(named, NOW) == ticket
        assert scene.holdings.ticket_of(named, ticket.expires_at) is None
        assert scene.holdings.ticket_of(PSKIdentity(KeyName(b"another8").encode()), NOW) is None

    @pytest.mark.parametrize("psk_identity", [b"", b"sink", b"\xff" * 9, b"\xd8\x3d\xd0\x83"])
    def test_an_identity_that_names_no_ticket_has_none(self, psk_identity):
        scene = Scene()
        scene.present()
        assert scene.holdings.kid_of(PSKIdentity(psk_identity)) is None
        assert scene.holdings.ticket_of(PSKIdentity(psk_identity), NOW) is None

    def test_a_ticket_that_was_only_uploaded_is_no_name_until_it_is_presented(self):
        scene = Scene()
        encoded = scene.ac.shared_ticket(SECRET, KID).encoded
        scene.take(encoded)
        assert scene.holdings.kid_of(PSKIdentity(encoded)) is None
        scene.holdings.present_untrusted(encoded, now=NOW)
        assert scene.holdings.kid_of(PSKIdentity(encoded)) == KID


class TestPresenting:
    """RFC 9202 section 3.3.2."""

    def test_a_presented_ticket_is_kept_and_names_its_key(self):
        scene = Scene()
        named = scene.present()
        assert scene.holdings.kid_of(named) == KID
        (kept,) = scene.holdings
        assert scene.holdings.ticket_of(named, NOW) == kept

    def test_a_ticket_for_a_public_key_is_neither_kept_nor_a_name(self):
        scene = Scene()
        encoded = scene.ac.ticket(scene.reader)
        refused = reason(lambda: scene.holdings.present_untrusted(encoded, now=NOW))
        assert refused is TicketReason.NO_CONFIRMATION
        assert list(scene.holdings) == []
        assert scene.holdings.kid_of(PSKIdentity(encoded)) is None

    def test_a_ticket_that_cannot_be_kept_is_no_name(self):
        scene = Scene()
        encoded = scene.ac.shared_ticket(SECRET, KID).encoded
        holdings = Holdings(scene.authority, revoked=revoked(encoded))
        assert reason(lambda: holdings.present_untrusted(encoded, now=NOW)) is TicketReason.REVOKED
        assert holdings.kid_of(PSKIdentity(encoded)) is None

    def test_only_so_many_are_remembered_and_the_one_presented_longest_ago_is_forgotten(self, monkeypatch):
        monkeypatch.setattr("twoway.publisher.holdings.MAX_PRESENTED", 2)
        scene = Scene()
        first, second = scene.present(b"first___"), scene.present(b"second__")
        assert scene.holdings.kid_of(first) == b"first___"
        scene.holdings.present_untrusted(first.psk_identity, now=NOW)
        third = scene.present(b"third___")
        names = [scene.holdings.kid_of(each) for each in (first, second, third)]
        assert names == [b"first___", None, b"third___"]


class TestGoing:
    def test_what_is_revoked_is_forgotten_and_nothing_else(self):
        scene = Scene()
        gone, stays = scene.ac.ticket(scene.reader), scene.ac.ticket(peer("other"))
        for encoded in (gone, stays):
            scene.take(encoded)
        scene.holdings.expunge({token_hash(gone)})
        assert [kept.encoded for kept in scene.holdings] == [stays]

    def test_what_is_revoked_and_lived_from_first_sight_counts_as_expired(self):
        """RFC 9770 section 11.1."""
        scene = Scene(exi_ledger=ExiLedger())
        gone = scene.ac.ticket(scene.reader, exi=60, sequence=7)
        scene.take(gone)
        scene.holdings.expunge({token_hash(gone)})
        assert reason(lambda: scene.take(gone)) is TicketReason.EXPIRED
        late = scene.ac.ticket(peer("other"), exi=60, sequence=6)
        assert reason(lambda: scene.take(late)) is TicketReason.EXPIRED
        scene.take(scene.ac.ticket(scene.reader, exi=60, sequence=8))

    def test_with_a_key_that_the_ac_withdraws_go_the_tickets_that_it_signed(self):
        scene = Scene()
        scene.take(scene.ac.ticket(scene.reader))
        shared = scene.take(scene.ac.shared_ticket(SECRET, KID).encoded)
        old, scene.ac.key = scene.ac.key, ec.generate_private_key(ec.SECP256R1())
        both = [SigningKey(key.public_key()) for key in (old, scene.ac.key)]
        scene.authority.learn(both, certified_until=NOW)
        by_new = scene.take(scene.ac.ticket(peer("other")))
        scene.holdings.expunge_unsigned()
        assert len(list(scene.holdings)) == 3
        scene.authority.learn(both[1:], certified_until=NOW)
        scene.holdings.expunge_unsigned()
        assert list(scene.holdings) == [shared, by_new]

    def test_without_an_authority_nothing_is_unsigned(self):
        Holdings(None).expunge_unsigned()

    def test_what_has_expired_goes(self):
        scene = Scene()
        ticket = scene.take(scene.ac.ticket(scene.reader))
        scene.holdings.ticket_of(scene.reader, NOW)
        scene.holdings.drop_expired(ticket.expires_at - MOMENT)
        assert list(scene.holdings) == [ticket]
        scene.holdings.drop_expired(ticket.expires_at)
        assert list(scene.holdings) == []


def test_what_is_held_is_current_as_long_as_the_list_of_revoked_tickets_is_fresh():
    stale = RevokedTickets(monotonic=lambda: 0.0, fresh_for=60)
    assert Holdings(None).is_current
    assert not Holdings(None, revoked=stale).is_current
    stale.take_full(FullSet(frozenset()))
    assert Holdings(None, revoked=stale).is_current
