"""Who may do what, rule by rule: each refusal is seen for its own reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from publisher_world import METER, NOW, POWER, TOKEN_URI, IssuingAC, access_control, peer, spki_of

from twoway.errors import CallerError
from twoway.identity import Identity, PSKIdentity, RawPublicKeyIdentity, Unauthenticated, identity_uri
from twoway.publisher.refusal import AccessReason, AccessRefused
from twoway.publisher.service import AccessControl
from twoway.publisher.target import Target
from twoway.tickets import Method, Scope, TicketReason, TicketRejected

SECOND = timedelta(seconds=1)
SINK = identity_uri("sink")
READ_POWER = Target(("power",))
RAW_KEY = RawPublicKeyIdentity(peer("x").spki)


def refusal(
    access: AccessControl,
    who: Identity,
    target: Target = READ_POWER,
    method: Method = Method.GET,
    at=NOW,
) -> AccessRefused:
    with pytest.raises(AccessRefused) as refused:
        access.require_access(who, target, method, now=at)
    return refused.value


def rejection(call: Callable[[], object]) -> TicketReason:
    with pytest.raises(TicketRejected) as rejected:
        call()
    return rejected.value.reason


class TestDefaultSubscribers:
    def test_a_default_subscriber_needs_no_ticket_for_any_resource(self):
        access = access_control(IssuingAC(), SINK)
        permit = access.require_access(peer("sink"), Target(("any", "where")), Method.GET, now=NOW)
        assert permit.ticket is None

    def test_a_default_subscriber_may_be_the_holder_of_a_pre_shared_key(self):
        access = access_control(None, "psk:sink")
        assert access.require_access(PSKIdentity(b"sink"), READ_POWER, Method.GET, now=NOW).ticket is None

    def test_another_pre_shared_key_has_no_rights_and_is_told_nothing(self):
        refused = refusal(access_control(IssuingAC(), "psk:sink"), PSKIdentity(b"other"))
        assert refused.reason is AccessReason.NO_RIGHTS
        assert refused.reason.response_code == (4, 1)
        assert refused.hints is None

    def test_a_certificate_that_names_a_pre_shared_key_is_not_its_holder(self):
        impostor = peer("x", uri="psk:sink")
        assert refusal(access_control(IssuingAC(), "psk:sink"), impostor).reason is AccessReason.NO_TICKET

    def test_a_pre_shared_key_that_is_called_like_a_certified_peer_is_not_that_peer(self):
        access = access_control(IssuingAC(), SINK)
        assert refusal(access, PSKIdentity(SINK.encode())).reason is AccessReason.NO_RIGHTS

    @pytest.mark.parametrize("who", [Unauthenticated(), RAW_KEY], ids=["nobody", "raw key"])
    def test_whoever_has_no_certificate_and_no_shared_key_has_no_rights(self, who):
        """Not even under a name of theirs among the default subscribers."""
        access = access_control(IssuingAC(), SINK, "psk:sink", who.uri)
        refused = refusal(access, who)
        assert refused.reason is AccessReason.NO_RIGHTS
        assert refused.hints is None

    def test_a_name_that_only_begins_like_a_default_subscribers_is_another(self):
        access = access_control(IssuingAC(), SINK)
        assert refusal(access, peer("sink-2")).reason is AccessReason.NO_TICKET
        assert refusal(access, peer("x", uri=SINK.upper())).reason is AccessReason.NO_TICKET

    def test_a_default_subscriber_whose_certificate_has_ended_is_refused(self):
        access, sink = access_control(IssuingAC(), SINK), peer("sink")
        access.require_access(sink, READ_POWER, Method.GET, now=sink.not_after - SECOND)
        refused = refusal(access, sink, at=sink.not_after)
        assert refused.reason is AccessReason.CERTIFICATE_EXPIRED
        assert refused.reason.response_code == (4, 1)
        assert refused.hints is None


class TestWithoutATicket:
    def test_the_refusal_says_where_for_whom_and_for_what_to_get_one(self):
        refused = refusal(access_control(IssuingAC(), SINK), peer("reader"))
        assert refused.reason is AccessReason.NO_TICKET
        assert refused.reason.response_code == (4, 1)
        assert refused.hints is not None
        assert (refused.hints.as_uri, refused.hints.audience) == (TOKEN_URI, METER)
        assert refused.hints.scope is not None
        assert Scope.parse_untrusted(refused.hints.scope) == POWER

    def test_the_answer_is_the_same_for_a_resource_that_does_not_exist(self):
        access, stranger = access_control(IssuingAC()), peer("stranger")
        refused = refusal(access, stranger, Target(("nowhere",)), Method.DELETE)
        assert refused.reason is AccessReason.NO_TICKET

    def test_a_publisher_without_an_ac_gives_no_hints(self):
        assert refusal(access_control(None, SINK), peer("reader")).hints is None

    @pytest.mark.parametrize("segments", [("",), ("..", "x"), ("p" * 300,)])
    def test_a_target_that_no_scope_should_name_gives_hints_without_a_scope(self, segments):
        hints = refusal(access_control(IssuingAC()), peer("reader"), Target(segments)).hints
        assert hints is not None
        assert hints.scope is None

    def test_a_method_that_no_scope_can_name_gives_hints_without_a_scope(self):
        hints = refusal(access_control(IssuingAC()), peer("reader"), method=Method(0)).hints
        assert hints is not None
        assert hints.scope is None

    def test_the_refusal_is_one_sentence_that_names_the_peer(self):
        sentence = str(refusal(access_control(IssuingAC()), peer("reader")))
        assert sentence.startswith(identity_uri("reader") + ": there is no valid ticket")


class TestWithATicket:
    @pytest.mark.parametrize("compact", [False, True])
    def test_its_holder_may_do_what_it_says(self, compact):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        upload = access.upload_untrusted(ac.ticket(reader, compact=compact), reader, now=NOW)
        assert upload.is_bringers
        permit = access.require_access(reader, READ_POWER, Method.GET, now=NOW)
        assert permit.ticket == upload.ticket

    def test_the_holder_of_an_rsa_key_may_have_one_as_well(self):
        ac = IssuingAC()
        reader = peer("reader", spki=spki_of(rsa.generate_private_key(65537, 2048)))
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader), reader, now=NOW)
        access.require_access(reader, READ_POWER, Method.GET, now=NOW)

    def test_another_resource_is_forbidden_whether_it_exists_or_not(self):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader), reader, now=NOW)
        refused = refusal(access, reader, Target(("gas",)))
        assert refused.reason is AccessReason.NOT_COVERED
        assert refused.reason.response_code == (4, 3)

    @pytest.mark.parametrize("method", [Method.PUT, Method.POST, Method.DELETE, Method.FETCH, Method(0)])
    def test_another_method_on_a_covered_resource_is_not_allowed(self, method):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader), reader, now=NOW)
        refused = refusal(access, reader, method=method)
        assert refused.reason is AccessReason.METHOD_NOT_COVERED
        assert refused.reason.response_code == (4, 5)

    def test_it_counts_until_the_second_before_it_expires(self):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader, seconds=60), reader, now=NOW)
        access.require_access(reader, READ_POWER, Method.GET, now=NOW + 59 * SECOND)
        assert refusal(access, reader, at=NOW + 60 * SECOND).reason is AccessReason.NO_TICKET

    def test_a_resumed_session_has_no_more_rights_than_its_ticket_has_left(self):
        """T19. After an abbreviated handshake the peer is as it was, without its certificates."""
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader, seconds=60), reader, now=NOW)
        resumed = replace(reader, chain=())
        access.require_access(resumed, READ_POWER, Method.GET, now=NOW + 59 * SECOND)
        assert refusal(access, resumed, at=NOW + 60 * SECOND).reason is AccessReason.NO_TICKET

    def test_it_counts_no_longer_than_the_certificate_of_its_holder(self):
        ac, long_lived = IssuingAC(), peer("reader", days=30)
        short_lived = peer("reader", spki=long_lived.spki, days=0)
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(long_lived), long_lived, now=NOW)
        assert refusal(access, short_lived).reason is AccessReason.CERTIFICATE_EXPIRED

    def test_the_same_key_certified_for_another_name_cannot_use_it(self):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        other = peer("somebody-else", spki=reader.spki)
        assert not access.upload_untrusted(ac.ticket(reader), other, now=NOW).is_bringers
        refused = refusal(access, other)
        assert refused.reason is AccessReason.OTHER_SUBJECT
        assert refused.reason.response_code == (4, 1)


class TestSomebodyElsesTicket:
    def test_is_worth_nothing_to_the_one_who_brings_it(self):
        ac, reader, thief = IssuingAC(), peer("reader"), peer("thief")
        access = access_control(ac)
        upload = access.upload_untrusted(ac.ticket(reader), thief, now=NOW)
        assert not upload.is_bringers
        assert refusal(access, thief).reason is AccessReason.NO_TICKET

    def test_is_worth_nothing_to_a_thief_who_has_the_name_but_not_the_key(self):
        ac, reader, thief = IssuingAC(), peer("reader"), peer("reader")
        access = access_control(ac)
        assert not access.upload_untrusted(ac.ticket(reader), thief, now=NOW).is_bringers
        assert refusal(access, thief).reason is AccessReason.NO_TICKET

    def test_is_worth_nothing_to_the_holder_of_a_pre_shared_key(self):
        ac, reader, thief = IssuingAC(), peer("reader"), PSKIdentity(b"thief")
        access = access_control(ac)
        assert not access.upload_untrusted(ac.ticket(reader), thief, now=NOW).is_bringers
        assert refusal(access, thief).reason is AccessReason.NO_RIGHTS

    def test_is_worth_nothing_to_a_raw_public_key_even_if_it_is_the_holders(self):
        """A ticket names an identity and its key; a key by itself has no identity."""
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        for who in (RawPublicKeyIdentity(reader.spki), Unauthenticated()):
            assert not access.upload_untrusted(ac.ticket(reader), who, now=NOW).is_bringers
            assert refusal(access, who).reason is AccessReason.NO_RIGHTS

    def test_does_not_take_away_the_bringers_own(self):
        ac, reader, other = IssuingAC(), peer("reader"), peer("other")
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader), reader, now=NOW)
        access.upload_untrusted(ac.ticket(other, Scope((("/gas", Method.GET),))), reader, now=NOW)
        access.require_access(reader, READ_POWER, Method.GET, now=NOW)
        assert refusal(access, reader, Target(("gas",))).reason is AccessReason.NOT_COVERED

    def test_a_flood_of_them_does_not_displace_a_holder_who_is_being_served(self):
        ac, reader, thief = IssuingAC(), peer("reader"), peer("thief")
        access = access_control(ac, capacity=4)
        access.upload_untrusted(ac.ticket(reader), reader, now=NOW)
        access.require_access(reader, READ_POWER, Method.GET, now=NOW)
        for number in range(10):
            access.upload_untrusted(ac.ticket(peer(f"victim-{number}")), thief, now=NOW)
        access.require_access(reader, READ_POWER, Method.GET, now=NOW)


class TestUploads:
    def test_an_expired_ticket_is_refused(self):
        ac, reader = IssuingAC(), peer("reader")
        access, old = access_control(ac), ac.ticket(reader, seconds=60)
        late = NOW + 60 * SECOND
        assert rejection(lambda: access.upload_untrusted(old, reader, now=late)) is TicketReason.EXPIRED
        assert refusal(access, reader, at=late).reason is AccessReason.NO_TICKET

    def test_a_ticket_for_another_publisher_is_refused(self):
        """T2."""
        ac, reader = IssuingAC(), peer("reader")
        access, foreign = access_control(ac), ac.ticket(reader, audience=identity_uri("other-meter"))
        reason = rejection(lambda: access.upload_untrusted(foreign, reader, now=NOW))
        assert reason is TicketReason.WRONG_AUDIENCE
        assert reason.response_code == (4, 3)
        assert refusal(access, reader).reason is AccessReason.NO_TICKET

    def test_a_ticket_of_an_unknown_ac_is_refused(self):
        """T3."""
        reader, access = peer("reader"), access_control(IssuingAC())
        forged = IssuingAC().ticket(reader)
        reason = rejection(lambda: access.upload_untrusted(forged, reader, now=NOW))
        assert reason is TicketReason.UNKNOWN_ISSUER
        assert reason.response_code == (4, 1)
        assert refusal(access, reader).reason is AccessReason.NO_TICKET

    def test_a_ticket_with_any_bit_changed_is_refused(self):
        """T5."""
        ac, reader = IssuingAC(), peer("reader")
        access, ticket = access_control(ac), ac.ticket(reader)
        for position in range(len(ticket)):
            tampered = bytearray(ticket)
            tampered[position] ^= 1 << position % 8
            with pytest.raises(TicketRejected):
                access.upload_untrusted(bytes(tampered), reader, now=NOW)
        assert refusal(access, reader).reason is AccessReason.NO_TICKET

    def test_a_ticket_counts_no_more_once_the_ac_s_own_certificate_has_ended(self):
        ac, reader = IssuingAC(), peer("reader")
        access, late = access_control(ac, days=1), NOW + timedelta(days=1)
        access.upload_untrusted(ac.ticket(reader, at=late - SECOND), reader, now=late - SECOND)
        fresh = ac.ticket(reader, at=late)
        reason = rejection(lambda: access.upload_untrusted(fresh, reader, now=late))
        assert reason is TicketReason.UNKNOWN_ISSUER

    def test_a_newer_ticket_replaces_the_rights_of_the_older_one(self):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader), reader, now=NOW)
        gas = ac.ticket(reader, Scope((("/gas", Method.GET),)), at=NOW + SECOND)
        access.upload_untrusted(gas, reader, now=NOW + SECOND)
        assert refusal(access, reader, at=NOW + SECOND).reason is AccessReason.NOT_COVERED
        access.require_access(reader, Target(("gas",)), Method.GET, now=NOW + SECOND)

    def test_an_older_ticket_does_not_bring_former_rights_back(self):
        """T10."""
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        wide = ac.ticket(reader, at=NOW)
        narrow = ac.ticket(reader, Scope((("/gas", Method.GET),)), at=NOW + SECOND)
        access.upload_untrusted(narrow, reader, now=NOW + SECOND)
        reason = rejection(lambda: access.upload_untrusted(wide, reader, now=NOW + SECOND))
        assert reason is TicketReason.SUPERSEDED
        assert refusal(access, reader, at=NOW + SECOND).reason is AccessReason.NOT_COVERED

    def test_a_publisher_without_an_ac_takes_none(self):
        ac, reader = IssuingAC(), peer("reader")
        with pytest.raises(CallerError):
            access_control(None, SINK).upload_untrusted(ac.ticket(reader), reader, now=NOW)


class TestTargets:
    """T13."""

    @pytest.mark.parametrize(
        "target",
        [
            Target(("power", "")),
            Target(("", "power")),
            Target(("power/",)),
            Target(("Power",)),
            Target((".", "power")),
            Target(("x", "..", "power")),
            Target(("%70ower",)),
            Target(("power",), ("all",)),
            Target(("power",), ("",)),
            Target(("power?",)),
            Target(("power", "now")),
            Target(()),
            Target(("",)),
        ],
        ids=repr,
    )
    def test_what_only_looks_like_the_covered_resource_is_not_covered(self, target):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader), reader, now=NOW)
        assert refusal(access, reader, target).reason is AccessReason.NOT_COVERED

    def test_a_slash_within_a_segment_is_not_a_boundary_between_two(self):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        access.upload_untrusted(ac.ticket(reader, Scope((("/a/b", Method.GET),))), reader, now=NOW)
        access.require_access(reader, Target(("a", "b")), Method.GET, now=NOW)
        assert refusal(access, reader, Target(("a/b",))).reason is AccessReason.NOT_COVERED
        assert refusal(access, reader, Target(("a%2Fb",))).reason is AccessReason.NOT_COVERED


class TestStanding:
    def test_a_peer_stands_as_long_as_anything_is_permitted(self):
        ac, reader = IssuingAC(), peer("reader")
        access = access_control(ac)
        with pytest.raises(AccessRefused):
            access.require_standing(reader, now=NOW)
        access.upload_untrusted(ac.ticket(reader, seconds=60), reader, now=NOW)
        assert access.require_standing(reader, now=NOW + 59 * SECOND).ticket is not None
        with pytest.raises(AccessRefused):
            access.require_standing(reader, now=NOW + 60 * SECOND)
