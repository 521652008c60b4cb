"""A peer's chain: what is accepted, and that each thing that can be wrong is refused for its own reason."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from small_pki import (
    CLIENT_AUTH,
    NOT_AFTER,
    NOT_BEFORE,
    NOW,
    SERVER_AUTH,
    Flaw,
    general_name,
    p256_key,
    small_pki,
)

from twoway.errors import CallerError, ConfigurationError, PeerError
from twoway.pki import (
    CHAIN_BYTES_MAX,
    CHAIN_CERTIFICATES_MAX,
    CertificateReason,
    CertificateRejected,
    Purpose,
    TrustStore,
)

PKI = small_pki()
SERVERS = ["publisher_p256", "publisher_rsa", "ac", "sink"]


class PublicRSA:
    """Stands for an RSA key of a size that takes long to make; its modulus is any odd number."""

    def __init__(self, bits: int) -> None:
        self.numbers = rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) | 12345)

    def public_key(self) -> rsa.RSAPublicKey:
        return self.numbers.public_key()


ONE_SIDED = {Flaw.CLIENT_ONLY: Purpose.CLIENT, Flaw.SERVER_ONLY: Purpose.SERVER}


def verify(chain, *, purpose=Purpose.CLIENT, at=NOW, trust=PKI.trust):
    return trust.verify_untrusted(chain, purpose=purpose, at=at)


def reason_of(chain, **arguments) -> CertificateReason:
    with pytest.raises(CertificateRejected) as caught:
        verify(chain, **arguments)
    return caught.value.reason


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("actor", SERVERS)
def test_an_actor_that_serves_is_accepted_on_both_sides(actor, purpose):
    credential = getattr(PKI, actor)
    identity = verify(credential.chain, purpose=purpose)
    assert identity == credential.identity
    assert identity.chain == credential.chain


@pytest.mark.parametrize("ends_first", ["leaf", "issuing", "root"])
def test_an_identity_ends_with_the_first_certificate_of_its_path(ends_first):
    soon = datetime(2030, 1, 1, tzinfo=UTC)
    ends = {who: soon if who == ends_first else NOT_AFTER for who in ("leaf", "issuing", "root")}
    ca = PKI.ca
    root = ca.authority(f"{ca.name} root", ca.root_key, path_length=1, not_after=ends["root"])
    issuing = ca.authority(f"{ca.name} issuing", ca.issuing_key, not_after=ends["issuing"])
    chain = ca.mint("brief", issuer=(issuing, ca.issuing_key), not_after=ends["leaf"]).chain
    assert verify(chain, trust=TrustStore([root])).not_after == soon


def test_a_subscriber_is_accepted_as_client_and_never_as_server():
    assert verify(PKI.subscriber.chain) == PKI.subscriber.identity
    assert reason_of(PKI.subscriber.chain, purpose=Purpose.SERVER) is CertificateReason.WRONG_USAGE


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("flaw", Flaw)
def test_each_flaw_is_refused_for_its_own_reason(flaw, purpose):
    chain = PKI.flawed(flaw).chain
    if ONE_SIDED.get(flaw) is purpose:
        assert verify(chain, purpose=purpose).uri.startswith("urn:")
    else:
        assert reason_of(chain, purpose=purpose).name == flaw.expected


def test_the_outsider_is_unknown_here_and_known_to_its_own_authority():
    assert reason_of(PKI.outsider.chain) is CertificateReason.UNKNOWN_CA
    assert verify(PKI.outsider.chain, trust=PKI.other_ca.trust).uri == PKI.outsider.uri


def test_two_anchors_vouch_for_the_peers_of_both():
    both = TrustStore.from_pem(PKI.ca.ca_pem + PKI.other_ca.ca_pem)
    assert verify(PKI.outsider.chain, trust=both).uri == PKI.outsider.uri
    assert verify(PKI.sink.chain, trust=both).uri == PKI.sink.uri


def test_the_identity_carries_what_was_verified():
    identity = verify(PKI.publisher_p256.chain, purpose=Purpose.SERVER)
    assert identity.uri == "urn:dev:org:32473-publisher-p256"
    assert identity.spki == PKI.publisher_p256.spki
    assert identity.chain == PKI.publisher_p256.chain
    assert identity.not_after == NOT_AFTER
    assert identity.hosts == ("localhost", "127.0.0.1", "::1")


def test_a_list_of_certificates_serves_as_well_as_a_tuple_and_is_not_kept():
    chain = list(PKI.sink.chain)
    identity = verify(chain)
    chain.clear()
    assert identity.chain == PKI.sink.chain


def test_validity_is_judged_at_the_time_handed_in_to_the_second():
    start, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    chain = PKI.ca.mint("brief", not_before=start, not_after=end).chain
    second = timedelta(seconds=1)
    assert reason_of(chain, at=start - second) is CertificateReason.NOT_YET_VALID
    assert verify(chain, at=start).uri
    assert verify(chain, at=end).uri
    assert reason_of(chain, at=end + second) is CertificateReason.EXPIRED


def test_the_last_second_counts_whole_when_the_reason_is_sought():
    end = datetime(2026, 3, 2, tzinfo=UTC)
    chain = PKI.ca.mint("brief", not_after=end, usages=[SERVER_AUTH]).chain
    assert reason_of(chain, at=end + timedelta(milliseconds=500)) is CertificateReason.WRONG_USAGE


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), CertificateReason.NOT_YET_VALID),
        (NOT_BEFORE - timedelta(microseconds=1), CertificateReason.NOT_YET_VALID),
        (datetime(9999, 12, 31, tzinfo=UTC), CertificateReason.EXPIRED),
    ],
)
def test_a_clock_that_is_far_off_refuses_with_the_reason_of_time(at, reason):
    assert reason_of(PKI.sink.chain, at=at) is reason


def test_a_time_in_another_zone_is_the_same_time():
    chain = PKI.ca.mint("zoned", not_after=datetime(2026, 1, 1, tzinfo=UTC)).chain
    east = timezone(timedelta(hours=9))
    assert verify(chain, at=datetime(2026, 1, 1, 9, tzinfo=east)).uri
    assert reason_of(chain, at=datetime(2026, 1, 1, 9, 1, tzinfo=east)) is CertificateReason.EXPIRED


def test_a_naive_time_is_the_callers_mistake():
    with pytest.raises(CallerError):
        verify(PKI.sink.chain, at=NOW.replace(tzinfo=None))


def test_no_certificate_at_all_is_refused():
    assert reason_of([]) is CertificateReason.EMPTY


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"\x30\x80", b"not DER", bytes(200)])
def test_junk_anywhere_in_the_chain_is_malformed(junk, position):
    chain = list(PKI.sink.chain)
    chain[position] = junk
    assert reason_of(chain) is CertificateReason.MALFORMED


def test_a_byte_after_the_certificate_is_malformed():
    leaf, issuing = PKI.sink.chain
    assert reason_of([leaf + b"\x00", issuing]) is CertificateReason.MALFORMED


def test_the_root_may_be_sent_along():
    root = PKI.ca.root.public_bytes(Encoding.DER)
    assert verify([*PKI.sink.chain, root]).uri == PKI.sink.uri


def test_an_issuing_authority_that_is_known_here_need_not_be_sent():
    leaf = PKI.publisher_p256.chain[:1]
    assert reason_of(leaf) is CertificateReason.UNKNOWN_CA
    assert verify(leaf, trust=PKI.trust.knowing(PKI.sink.chain)).chain == leaf


def test_an_authority_that_is_only_known_is_not_trusted():
    knowing = PKI.trust.knowing(PKI.outsider.chain)
    assert reason_of(PKI.outsider.chain, trust=knowing) is CertificateReason.UNKNOWN_CA
    assert reason_of(PKI.outsider.chain[:1], trust=knowing) is CertificateReason.UNKNOWN_CA


def test_an_authority_that_is_sent_stands_before_a_known_one_of_its_name():
    expired = PKI.flawed(Flaw.EXPIRED_ISSUER)
    assert verify(PKI.sink.chain, trust=PKI.trust.knowing(expired.chain)).uri == PKI.sink.uri
    assert reason_of(expired.chain, trust=PKI.trust.knowing(PKI.sink.chain)) is CertificateReason.EXPIRED


def test_a_root_that_is_sent_along_is_not_trusted_for_that():
    root = PKI.other_ca.root.public_bytes(Encoding.DER)
    assert reason_of([*PKI.outsider.chain, root]) is CertificateReason.UNKNOWN_CA


def test_a_certificate_that_belongs_to_nobody_does_not_disturb():
    stranger = PKI.other_ca.issuing.public_bytes(Encoding.DER)
    assert verify([PKI.sink.chain[0], stranger, PKI.sink.chain[1]]).uri == PKI.sink.uri


def test_the_leaf_comes_first():
    assert reason_of(tuple(reversed(PKI.sink.chain))) is CertificateReason.WRONG_USAGE


def test_a_chain_of_too_many_certificates_is_refused_before_it_is_parsed():
    assert reason_of([b"junk"] * (CHAIN_CERTIFICATES_MAX + 1)) is CertificateReason.TOO_LONG


def test_a_chain_of_too_many_bytes_is_refused_before_it_is_parsed():
    assert reason_of([b"junk", bytes(CHAIN_BYTES_MAX)]) is CertificateReason.TOO_LONG


def test_the_longest_admitted_chain_is_accepted():
    signer = (PKI.ca.root.subject, PKI.ca.root_key)
    authorities = []
    root = PKI.ca.authority("long root", p256_key("long root"), signer=None, path_length=None)
    signer = (root.subject, p256_key("long root"))
    for number in range(CHAIN_CERTIFICATES_MAX - 1):
        key = p256_key(f"long {number}")
        authority = PKI.ca.authority(f"long {number}", key, signer=signer, path_length=None)
        authorities.insert(0, authority)
        signer = (authority.subject, key)
    chain = PKI.ca.mint("long", issuer=(authorities[0], key), intermediates=authorities).chain
    assert len(chain) == CHAIN_CERTIFICATES_MAX
    assert verify(chain, trust=TrustStore([root])).uri.endswith("long")


def test_two_authorities_of_one_name_are_refused_so_that_the_search_cannot_explode():
    again = PKI.ca.authority("twoway test issuing", p256_key("another"))
    chain = [*PKI.sink.chain, again.public_bytes(Encoding.DER)]
    assert reason_of(chain) is CertificateReason.BAD_CHAIN


def test_an_authority_with_a_huge_key_is_refused_before_any_signature_is_checked():
    authority = PKI.ca.authority("huge", PublicRSA(4096 + 8))
    chain = PKI.ca.mint("below", issuer=(authority, p256_key("whoever"))).chain
    assert reason_of(chain) is CertificateReason.UNSUPPORTED_KEY


def test_an_authority_that_is_limited_to_servers_cannot_vouch_for_clients():
    key = p256_key("limited")
    limit = x509.ExtendedKeyUsage([SERVER_AUTH])
    authority = PKI.ca.authority("limited", key, extra=[(limit, False)])
    chain = PKI.ca.mint("below", issuer=(authority, key)).chain
    assert verify(chain, purpose=Purpose.SERVER).uri
    assert reason_of(chain, purpose=Purpose.CLIENT) is CertificateReason.WRONG_USAGE


def test_a_host_inside_the_name_constraints_is_accepted():
    key = p256_key("constrained well")
    subtrees = x509.NameConstraints([x509.DNSName("meters.example")], None)
    authority = PKI.ca.authority("constrained well", key, extra=[(subtrees, True)])
    chain = PKI.ca.mint("inside", hosts=["a.meters.example"], issuer=(authority, key)).chain
    assert verify(chain).hosts == ("a.meters.example",)


@pytest.mark.parametrize(
    ("names", "uri"),
    [
        (["Meter.Example", "b.example"], "dns:meter.example"),
        (["192.0.2.7"], "ip:192.0.2.7"),
        (["2001:db8::7"], "ip:2001:db8::7"),
        (["192.0.2.7", "meter.example"], "dns:meter.example"),
    ],
)
def test_a_leaf_without_a_urn_is_known_by_itsgeneral_name(names, uri):
    assert verify(PKI.ca.mint("hosted", names=[general_name(name) for name in names]).chain).uri == uri


def test_names_of_other_kinds_beside_the_identity_are_passed_over():
    names = [
        x509.UniformResourceIdentifier("https://meter.example/"),
        x509.UniformResourceIdentifier("urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
        x509.RFC822Name("owner@meter.example"),
    ]
    identity = verify(PKI.ca.mint("several", names=names).chain)
    assert identity.uri == "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    assert identity.hosts == ()


@pytest.mark.parametrize(
    "uri",
    [
        "urn:",
        "urn:dev:",
        "urn:d:x",
        "urn:dev:a b",
        "urn:dev:a\x00b",
        "urn:dev:a?+b",
        "urn:dev:a#b",
        "urn:dev:a%2fb",
        "urn:dev:/a",
        "Urn:dev:a",
        "urn:Dev:a",
        "urn:dev:" + "a" * 248,
    ],
)
def test_a_urn_with_a_second_spelling_or_strange_characters_is_no_identity(uri):
    chain = PKI.ca.mint("odd", names=[x509.UniformResourceIdentifier(uri)]).chain
    assert reason_of(chain) is CertificateReason.NO_IDENTITY


def test_a_doubtful_urn_is_not_made_good_by_a_host_name():
    names = [x509.UniformResourceIdentifier("URN:dev:a"), x509.DNSName("meter.example")]
    assert reason_of(PKI.ca.mint("odd", names=names).chain) is CertificateReason.NO_IDENTITY


def test_rsa_of_4096_bits_is_accepted_from_peers():
    chain = PKI.ca.mint("large", key=PublicRSA(4096)).chain
    assert verify(chain).uri.endswith("large")


def test_usages_beside_the_demanded_one_do_no_harm():
    usages = [ExtendedKeyUsageOID.CODE_SIGNING, CLIENT_AUTH]
    assert verify(PKI.ca.mint("many", usages=usages).chain).uri.endswith("many")


def test_an_expired_anchor_vouches_for_nobody():
    root_key = p256_key("twoway test root")
    old = PKI.ca.authority(
        "twoway test root", root_key, path_length=1, not_after=datetime(2021, 1, 1, tzinfo=UTC)
    )
    assert reason_of(PKI.sink.chain, trust=TrustStore([old])) is CertificateReason.EXPIRED


def test_a_rejection_is_the_peers_fault_and_repeats_nothing_of_the_certificate():
    chain = PKI.other_ca.mint("urn:dev:org:32473-evil-name").chain
    with pytest.raises(PeerError) as caught:
        verify(chain)
    assert "evil" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("reason", CertificateReason)
def test_each_reason_reads_as_a_sentence(reason):
    assert str(CertificateRejected(reason)).startswith("the peer cannot be authenticated: ")


def test_anchors_are_read_from_a_file(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(PKI.ca.ca_pem + PKI.other_ca.ca_pem)
    store = TrustStore.from_file(path)
    assert store.subjects == (PKI.ca.root.subject.public_bytes(), PKI.other_ca.root.subject.public_bytes())
    assert repr(store) == "TrustStore(2 anchors)"


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", PKI.sink.cert_pem, PKI.ca.ca_pem + PKI.sink.cert_pem, b"-----BEGIN CERTIFICATE-----\n"],
    ids=["empty", "junk", "leaf", "root and leaf", "cut off"],
)
def test_a_file_that_is_not_all_authorities_is_no_trust_store(content, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"ca\.pem: .*; put"):
        TrustStore.from_file(path)


def test_a_trust_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.pem: no such file"):
        TrustStore.from_file(tmp_path / "absent.pem")


def test_no_anchor_means_no_trust_store():
    with pytest.raises(ConfigurationError):
        TrustStore([])
