"""To which key a ticket is bound: to one that was proved, or to one that the AC made, and to no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ticket_forge import HOLDER_SPKI, METER_URI, NOW, OTHER_SPKI, SUBSCRIBER_URI

from twoway.ac import TicketRecord
from twoway.ac.binding import bind, require_proved
from twoway.ac.entity import Entity
from twoway.ac.requester import Requester
from twoway.identity import RawPublicKeyIdentity, X509Identity
from twoway.pki import Role
from twoway.tickets import (
    CertificateReference,
    Confirmation,
    ErrorCode,
    KeyReference,
    SymmetricConfirmation,
    TokenRequest,
    TokenRequestRejected,
)

KID = bytes(range(1, 9))
TENANT = Entity(SUBSCRIBER_URI, Role.SUBSCRIBER)
METER = Entity(METER_URI, Role.PUBLISHER, spki=OTHER_SPKI)
CERTIFIED = Requester(
    TENANT, X509Identity(SUBSCRIBER_URI, HOLDER_SPKI, (b"the leaf", b"its CA"), NOW + timedelta(days=9))
)
RAW = Requester(TENANT, RawPublicKeyIdentity(HOLDER_SPKI))
EARLIER = TicketRecord(
    ticket_id=b"id",
    token_hash=bytes(33),
    requester=SUBSCRIBER_URI,
    audience=METER_URI,
    holder_key=None,
    certificate_sha256=None,
    scope=b"\x80",
    kid=KID,
    issued_at=NOW,
    expires_at=NOW + timedelta(seconds=60),
)


def bound(req_cnf, requester=CERTIFIED, publisher=METER, *, shares_secret=False, earlier=None, now=NOW):
    request = TokenRequest(audience=publisher.uri, scope=None, req_cnf=req_cnf)
    require_proved(request, requester)
    return bind(
        request,
        requester,
        publisher,
        shares_secret=shares_secret,
        earlier=earlier,
        now=now,
        entropy=lambda count: bytes(range(count)),
    )


def refused(*arguments, **more) -> ErrorCode:
    with pytest.raises(TokenRequestRejected) as caught:
        bound(*arguments, **more)
    return caught.value.error.code


def odd_requester(public_key) -> Requester:
    spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return replace(CERTIFIED, proved=replace(CERTIFIED.proved, spki=spki))


class TestAKeyThatIsNamed:
    """RFC 9201 section 3.1, RFC 9202 section 3.2.1."""

    @pytest.mark.parametrize("named", [False, True], ids=["by value", "by thumbprint"])
    def test_the_proved_one_is_bound_and_another_is_refused(self, named):
        mine = Confirmation.of_key(HOLDER_SPKI, compact=named)
        for requester in (CERTIFIED, RAW):
            assert bound(mine, requester) == Confirmation.of_key(HOLDER_SPKI)
        assert refused(Confirmation.of_key(OTHER_SPKI, compact=named)) is ErrorCode.INVALID_REQUEST

    def test_a_certificate_has_to_be_the_one_of_the_handshake(self):
        """draft-ietf-ace-authcred-dtls-profile-04 section 3."""
        assert bound(CertificateReference.of(b"the leaf")) == Confirmation.of_key(HOLDER_SPKI)
        for other in (b"its CA", b"another leaf", b""):
            assert refused(CertificateReference.of(other)) is ErrorCode.INVALID_REQUEST
        assert refused(CertificateReference.of(b"the leaf"), RAW) is ErrorCode.INVALID_REQUEST

    @pytest.mark.parametrize(
        "public_key",
        [
            ed25519.Ed25519PrivateKey.generate().public_key(),
            ec.generate_private_key(ec.SECP384R1()).public_key(),
        ],
        ids=["Ed25519", "P-384"],
    )
    def test_a_certified_key_of_a_kind_that_no_ticket_is_bound_to_is_unsupported(self, public_key):
        reference = CertificateReference.of(b"the leaf")
        assert refused(reference, odd_requester(public_key)) is ErrorCode.UNSUPPORTED_POP_KEY

    def test_the_form_is_the_one_that_the_publisher_is_registered_with(self):
        mine = Confirmation.of_key(HOLDER_SPKI)
        compact, pinning = replace(METER, compact_tickets=True), replace(METER, pins_certificates=True)
        assert bound(mine, publisher=compact) == Confirmation.of_key(HOLDER_SPKI, compact=True)
        bound(mine, publisher=pinning).require_key(HOLDER_SPKI, b"the leaf")
        assert bound(mine, publisher=pinning).certificate_sha256 == CERTIFIED.certificate_sha256
        assert refused(mine, RAW, pinning) is ErrorCode.UNSUPPORTED_POP_KEY

    def test_a_publisher_without_a_certificate_takes_none(self):
        mine, bare = Confirmation.of_key(HOLDER_SPKI), replace(METER, spki=None)
        assert refused(mine, publisher=bare) is ErrorCode.INCOMPATIBLE_ACE_PROFILES
        assert refused(mine, publisher=bare, shares_secret=True) is ErrorCode.UNSUPPORTED_POP_KEY


class TestASymmetricKey:
    """RFC 9201 section 3.1, RFC 9202 sections 3.3.1 and 4."""

    def test_without_req_cnf_one_is_made_where_the_publisher_can_derive_it(self):
        assert bound(None, shares_secret=True) == SymmetricConfirmation(KID, derived=True)
        assert refused(None) is ErrorCode.INVALID_REQUEST

    def test_the_name_of_ones_own_key_keeps_that_key(self):
        kept = bound(KeyReference(KID), shares_secret=True, earlier=EARLIER)
        assert kept == SymmetricConfirmation(KID, derived=True)

    @pytest.mark.parametrize(
        "changes",
        [
            {"kid": b"another8"},
            {"kid": None},
            {"requester": "urn:dev:org:32473-rival"},
            {"audience": "urn:dev:org:32473-boiler"},
            {"revoked_at": NOW},
            {"expires_at": NOW},
        ],
        ids=str,
    )
    def test_a_name_whose_key_is_not_ones_own_there_and_now_is_refused(self, changes):
        """T20."""
        earlier = replace(EARLIER, **changes)
        code = refused(KeyReference(KID), shares_secret=True, earlier=earlier)
        assert code is ErrorCode.UNSUPPORTED_POP_KEY

    def test_a_name_of_no_key_or_at_a_publisher_without_a_secret_is_refused(self):
        assert refused(KeyReference(KID), shares_secret=True) is ErrorCode.UNSUPPORTED_POP_KEY
        assert refused(KeyReference(KID), earlier=EARLIER) is ErrorCode.UNSUPPORTED_POP_KEY

    def test_a_key_serves_until_the_moment_its_ticket_ends(self):
        last = EARLIER.expires_at - timedelta(microseconds=1)
        bound(KeyReference(KID), shares_secret=True, earlier=EARLIER, now=last)
        late = {"shares_secret": True, "earlier": EARLIER, "now": EARLIER.expires_at}
        assert refused(KeyReference(KID), **late) is ErrorCode.UNSUPPORTED_POP_KEY
