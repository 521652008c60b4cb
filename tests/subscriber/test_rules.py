"""What a subscriber believes: each rule, and each way of breaking it."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import replace
from datetime import timedelta

import pytest
from small_pki import NOW, small_pki

from twoway.errors import PeerError, RefusedError, TwowayError
from twoway.identity import PSKIdentity, RawPublicKeyIdentity, Unauthenticated, X509Identity
from twoway.subscriber import ACReference
from twoway.subscriber.audience import Audience
from twoway.subscriber.grant import Ask, refusal_untrusted, take_grant_untrusted
from twoway.subscriber.instant import Instant
from twoway.subscriber.rules import require_ac, require_hints, require_publisher, unsuccessful_untrusted
from twoway.subscriber.wording import check_command, excerpt
from twoway.tickets import (
    Confirmation,
    CreationHints,
    ErrorCode,
    Method,
    ProvisionalNumbers,
    Scope,
    TokenError,
    TokenResponse,
)

PKI = small_pki()
PUBLISHER = PKI.publisher_p256.identity
OTHER_PUBLISHER = PKI.publisher_rsa.identity
OWN = PKI.subscriber.identity
AC = ACReference(uri="coaps://127.0.0.1:5684/token", identity=PKI.ac.uri)
READ_POWER = Scope((("/power", Method.GET),))
ASK = Ask(Audience.proved(PUBLISHER), "/power", READ_POWER, OWN, asked_at=Instant(NOW, 0.0))
GRANT = TokenResponse(access_token=b"a ticket", expires_in=600, rs_cnf_spki=PUBLISHER.spki, ace_profile=1)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class TestPublisher:
    @pytest.mark.parametrize(
        "uri",
        [
            "coaps://127.0.0.1:5685/power",
            "coaps://localhost/power",
            "coaps://LOCALHOST./power",
            "coaps://[::1]:5685/power",
            "coaps://[0:0::0:1]/power",
        ],
    )
    def test_a_certificate_that_names_the_host_is_the_publisher(self, uri: str):
        assert require_publisher(PUBLISHER, uri=uri, expected=None) is PUBLISHER

    @pytest.mark.parametrize(
        "uri", ["coaps://127.0.0.2/power", "coaps://localhost.example/power", "coaps://meter/power"]
    )
    def test_a_certificate_that_does_not_name_the_host_is_refused(self, uri: str):
        with pytest.raises(RefusedError, match=f"the certificate of {PUBLISHER.uri} does not name the host"):
            require_publisher(PUBLISHER, uri=uri, expected=None)

    def test_a_subscribers_certificate_names_no_host_and_is_no_publisher(self):
        with pytest.raises(RefusedError, match="does not name the host"):
            require_publisher(OWN, uri="coaps://127.0.0.1/power", expected=None)

    def test_the_identity_that_the_caller_expects_takes_the_hosts_place(self):
        require_publisher(PUBLISHER, uri="coaps://10.0.0.1/power", expected=PUBLISHER.uri)

    def test_another_identity_than_the_expected_is_refused_whatever_host_it_names(self):
        with pytest.raises(RefusedError, match=f"proved to be {OTHER_PUBLISHER.uri}, not {PUBLISHER.uri}"):
            require_publisher(OTHER_PUBLISHER, uri="coaps://127.0.0.1/power", expected=PUBLISHER.uri)

    @pytest.mark.parametrize("peer", [Unauthenticated(), RawPublicKeyIdentity(PUBLISHER.spki)])
    def test_whoever_has_no_certificate_is_no_publisher(self, peer):
        for expected in (None, peer.uri, PUBLISHER.uri):
            with pytest.raises(RefusedError, match="no certificate, where a certificate is needed"):
                require_publisher(peer, uri="coaps://127.0.0.1/", expected=expected)

    def test_a_pre_shared_key_is_no_proof_of_a_publisher(self):
        with pytest.raises(RefusedError, match="pre-shared key"):
            require_publisher(PSKIdentity(PUBLISHER.uri.encode()), uri="coaps://127.0.0.1/", expected=None)


class TestAC:
    def test_the_configured_ac_is_the_ac(self):
        assert require_ac(PKI.ac.identity, ac=AC) == PKI.ac.identity

    @pytest.mark.parametrize(
        "peer",
        [
            PUBLISHER,
            OWN,
            PSKIdentity(AC.identity.encode()),
            RawPublicKeyIdentity(PKI.ac.spki),
            Unauthenticated(),
        ],
    )
    def test_nobody_else_of_the_same_authority_is(self, peer: X509Identity):
        with pytest.raises(RefusedError):
            require_ac(peer, ac=AC)


class TestHints:
    GOOD = CreationHints(as_uri=AC.uri, audience=PUBLISHER.uri)

    def test_a_hint_at_the_configured_ac_is_followed(self):
        assert require_hints(self.GOOD, ac=AC, publisher=Audience.proved(PUBLISHER)) is AC

    @pytest.mark.parametrize(
        ("hinted", "configured"),
        [
            ("coaps://127.0.0.1/token", "coaps://127.0.0.1:5684/token"),
            ("COAPS://AC.example:5684/token", "coaps://ac.example/token"),
            ("coaps://[::0001]/token", "coaps://[::1]/token"),
            ("coaps://ac.example/%74oken", "coaps://ac.example/token"),
        ],
    )
    def test_equal_uris_are_equal_however_they_are_written(self, hinted: str, configured: str):
        ac = replace(AC, uri=configured)
        require_hints(replace(self.GOOD, as_uri=hinted), ac=ac, publisher=Audience.proved(PUBLISHER))

    @pytest.mark.parametrize(
        "evil",
        [
            "coaps://127.0.0.1:5685/token",
            "coaps://127.0.0.2:5684/token",
            "coaps://evil.example/token",
            "coaps://127.0.0.1:5684/tokens",
            "coaps://127.0.0.1:5684/token/",
            "coaps://127.0.0.1:5684/token?x",
            "coaps://127.0.0.1:5684/TOKEN",
            "coaps://127.0.0.1:5684",
            "coap://127.0.0.1:5684/token",
            "coaps+tcp://127.0.0.1:5684/token",
            "coaps://127.0.0.1:5684@evil.example/token",
            "coaps://127.0.0.1:5684/token#evil",
            "coaps://127.0.0.1:5684\\@evil.example/token",
            " coaps://127.0.0.1:5684/token",
            "coaps://127.0.0.1:5684/token\n",
            "coaps://127.0.0.1:99999/token",
            "coaps://[/token",
            "",
            "\ud800",
            "x" * 5000,
        ],
    )
    def test_a_hint_at_an_ac_of_somebody_elses_is_refused(self, evil: str):
        with pytest.raises(
            RefusedError, match=r"the configured one is coaps://127\.0\.0\.1:5684/token"
        ) as raised:
            require_hints(replace(self.GOOD, as_uri=evil), ac=AC, publisher=Audience.proved(PUBLISHER))
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 700

    @pytest.mark.parametrize("evil", [OTHER_PUBLISHER.uri, AC.identity, "", PUBLISHER.uri + "/", "\ud800"])
    def test_a_hint_with_somebody_elses_name_as_audience_is_refused(self, evil: str):
        with pytest.raises(RefusedError, match="asks for a ticket for somebody else"):
            require_hints(replace(self.GOOD, audience=evil), ac=AC, publisher=Audience.proved(PUBLISHER))

    def test_a_hint_without_an_audience_means_the_publisher_that_was_proved(self):
        require_hints(replace(self.GOOD, audience=None), ac=AC, publisher=Audience.proved(PUBLISHER))

    @pytest.mark.parametrize("hints", [None, CreationHints(), CreationHints(audience=PUBLISHER.uri)])
    def test_a_publisher_that_does_not_say_where_is_not_guessed_about(self, hints: CreationHints | None):
        with pytest.raises(RefusedError, match="does not say from which AC"):
            require_hints(hints, ac=AC, publisher=Audience.proved(PUBLISHER))

    def test_without_a_configured_ac_no_hint_is_followed(self):
        with pytest.raises(RefusedError, match=r"no AC to get one from; write an ac\.toml"):
            require_hints(self.GOOD, ac=None, publisher=Audience.proved(PUBLISHER))


class TestGrant:
    def take(self, grant: TokenResponse | bytes, ask: Ask = ASK, content_format: int | None = 19):
        payload = grant if isinstance(grant, bytes) else grant.encode()
        return take_grant_untrusted(payload, content_format, ask=ask, ac=AC)

    def test_what_was_asked_for_is_taken(self):
        ticket = self.take(GRANT)
        assert ticket.encoded == b"a ticket"
        assert ticket.scope == READ_POWER
        assert ticket.asked_at == ASK.asked_at
        assert ticket.lifetime == timedelta(seconds=600)
        assert "a ticket" not in repr(ticket)

    def test_a_publisher_of_the_right_authority_with_another_key_is_refused(self):
        impostor = PKI.ca.mint("impostor", hosts=["127.0.0.1"]).identity
        ask = replace(ASK, audience=Audience.proved(replace(impostor, uri=PUBLISHER.uri)))
        with pytest.raises(PeerError, match="is not the one that this publisher proved"):
            self.take(GRANT, ask)

    def test_the_answer_to_another_request_is_refused(self):
        mixed_up = replace(GRANT, rs_cnf_spki=OTHER_PUBLISHER.spki)
        with pytest.raises(PeerError, match="is not the one that this publisher proved"):
            self.take(mixed_up)

    def test_an_rsa_publisher_is_known_by_its_key_too(self):
        ask = replace(ASK, audience=Audience.proved(OTHER_PUBLISHER))
        assert self.take(replace(GRANT, rs_cnf_spki=OTHER_PUBLISHER.spki), ask).encoded == b"a ticket"

    def test_an_answer_that_does_not_say_the_publishers_key_is_refused(self):
        with pytest.raises(PeerError, match="does not say with which key"):
            self.take(replace(GRANT, rs_cnf_spki=None))

    def test_a_ticket_for_another_key_than_ours_is_refused(self):
        with pytest.raises(PeerError, match="another key than ours"):
            self.take(replace(GRANT, cnf=Confirmation.of_key(PKI.sink.spki)))

    def test_a_ticket_for_our_key_is_taken(self):
        assert self.take(replace(GRANT, cnf=Confirmation.of_key(OWN.spki, compact=True)))

    def test_a_ticket_of_another_profile_or_none_is_refused(self):
        with pytest.raises(PeerError, match="DTLS profile"):
            self.take(replace(GRANT, ace_profile=None))
        with pytest.raises(PeerError):
            self.take(replace(GRANT, ace_profile=2))

    def test_a_certificate_that_the_ac_names_beside_our_key_has_to_be_ours(self):
        older = ProvisionalNumbers(x5t=8)
        ac = replace(AC, numbers=older)
        named = replace(GRANT, cnf=Confirmation.of_key(OWN.spki, certificate_sha256=sha256(OWN.chain[0])))
        assert take_grant_untrusted(named.encode(older), 19, ask=ASK, ac=ac)
        other = Confirmation.of_key(OWN.spki, certificate_sha256=sha256(PKI.sink.chain[0]))
        with pytest.raises(PeerError, match="another key than ours"):
            take_grant_untrusted(replace(GRANT, cnf=other).encode(older), 19, ask=ASK, ac=ac)
        # In the numbers of another draft it says nothing to us, and the key alone counts.
        assert take_grant_untrusted(replace(GRANT, cnf=other).encode(), 19, ask=ASK, ac=ac)

    @pytest.mark.parametrize("lifetime", [0, -1, 2**63])
    def test_a_ticket_of_unknown_or_absurd_lifetime_is_refused(self, lifetime: int):
        with pytest.raises(PeerError):
            self.take(replace(GRANT, expires_in=lifetime))

    def test_fewer_rights_than_needed_are_said_to_be_too_few(self):
        other = Scope((("/gas", Method.GET), ("/power", Method.POST))).encode()
        with pytest.raises(RefusedError, match="grants other rights, but not to read /power"):
            self.take(replace(GRANT, scope=other))

    def test_the_granted_scope_is_what_the_ticket_permits(self):
        ask = replace(ASK, scope=Scope((("/gas", Method.GET), ("/power", Method.GET))))
        assert self.take(replace(GRANT, scope=READ_POWER.encode()), ask).scope == READ_POWER
        assert self.take(GRANT, ask).scope == ask.scope

    def test_a_scope_that_is_none_is_refused(self):
        with pytest.raises(PeerError):
            self.take(replace(GRANT, scope=b"\x00"))

    @pytest.mark.parametrize("content_format", [None, 0, 60, 61])
    def test_another_content_format_is_refused(self, content_format: int | None):
        with pytest.raises(PeerError, match="content format"):
            self.take(GRANT, content_format=content_format)

    def test_every_cut_and_every_flipped_bit_is_refused_or_changes_nothing_that_was_checked(self):
        whole = GRANT.encode()
        for position in range(len(whole)):
            with pytest.raises(PeerError):
                self.take(whole[:position])
            for bit in range(8):
                changed = bytearray(whole)
                changed[position] ^= 1 << bit
                try:
                    ticket = self.take(bytes(changed))
                except TwowayError:
                    continue
                assert ticket.scope == READ_POWER


class TestRefusal:
    def refusal(self, payload: bytes, content_format: int | None = 19) -> TwowayError:
        return refusal_untrusted(payload, content_format, "4.00 Bad Request", ask=ASK, ac=AC)

    def test_the_acs_words_are_passed_on(self):
        said = TokenError(ErrorCode.INVALID_SCOPE, "denied by the policy region-only").encode()
        error = self.refusal(said)
        assert isinstance(error, RefusedError)
        assert (error.where, error.what) == (
            AC.identity,
            "the AC refuses a ticket (invalid_scope): denied by the policy region-only",
        )

    @pytest.mark.parametrize(
        "code", [ErrorCode.INVALID_SCOPE, ErrorCode.UNAUTHORIZED_CLIENT, ErrorCode.INVALID_CLIENT]
    )
    def test_who_is_refused_is_told_the_command_that_says_why(self, code: ErrorCode):
        command = (
            f"twoway ac check CONFIG --subscriber {OWN.uri} --publisher {PUBLISHER.uri} "
            "--resource /power --action GET"
        )
        error = self.refusal(TokenError(code).encode())
        assert error.remedy == f"ask the operator of the AC to run: {command}"

    def test_a_fault_of_the_request_is_not_blamed_on_the_policies(self):
        assert self.refusal(TokenError(ErrorCode.INVALID_REQUEST).encode()).remedy is None

    def test_a_resource_cannot_add_a_word_to_the_command(self):
        command = check_command(OWN.uri, PUBLISHER.uri, "/a b;rm -r?x='y")
        assert shlex.split(command)[8:10] == ["--resource", "/a b;rm -r?x='y"]

    def test_a_refusal_without_words_still_says_why(self):
        error = self.refusal(TokenError(ErrorCode.UNAUTHORIZED_CLIENT).encode())
        assert error.what.endswith("(unauthorized_client)")

    def test_words_that_would_write_over_the_screen_are_made_harmless(self):
        error = self.refusal(
            TokenError(ErrorCode.INVALID_SCOPE, "no\x1b[2J\nTicket: granted\u202e" + "x" * 900).encode()
        )
        assert str(error).isprintable()
        assert len(error.what) < 400

    @pytest.mark.parametrize("payload", [b"", b"\xff", b"\xa0", b"\xa1\x18\x1e\x18\x63", b"\x80", b"no"])
    def test_an_error_that_is_none_is_the_acs_fault_not_a_refusal(self, payload: bytes):
        error = self.refusal(payload)
        assert isinstance(error, PeerError)
        assert "4.00 Bad Request" in str(error)

    def test_a_diagnostic_text_is_shown(self):
        assert str(self.refusal(b"too \xff many", None)).endswith("4.00 Bad Request: too \ufffd many")

    def test_a_payload_that_is_no_text_is_not_shown(self):
        assert str(self.refusal(b"\xa1\x01\x02", 60)).endswith("4.00 Bad Request")

    def test_a_publishers_no_is_a_refusal_and_its_trouble_is_not(self):
        uri = "coaps://127.0.0.1/power"
        assert isinstance(
            unsuccessful_untrusted(b"", None, "4.03 Forbidden", uri=uri, forbidden=True), RefusedError
        )
        trouble = unsuccessful_untrusted(b"gone", None, "4.04 Not Found", uri=uri, forbidden=False)
        assert isinstance(trouble, PeerError)
        assert str(trouble) == f"{uri}: the publisher answered 4.04 Not Found: gone"


@pytest.mark.parametrize("text", ["plain", "ümlaut", "", "a b"])
def test_plain_text_stays_as_it_is(text: str):
    assert excerpt(text) == text
