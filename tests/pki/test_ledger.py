"""The CA's ledger as others read it: whole and in order, or refused with the line that is wrong."""

import json

import pytest
from small_pki import NOW, small_pki

from twoway.errors import ConfigurationError
from twoway.pki import CertificateAuthority, Role, StoredIdentity, latest_by_uri, read_ledger


@pytest.fixture
def ca(tmp_path):
    return CertificateAuthority.init(tmp_path / "ca", name="Test", now=NOW)


@pytest.fixture
def line(ca):
    ca.issue("meter", Role.PUBLISHER, hosts=["::1"], attributes={"region": "eu"}, now=NOW)
    return json.loads(ca.ledger_path.read_text())


def refused(path, number):
    with pytest.raises(ConfigurationError, match=f"line {number}: this line is not an entry") as caught:
        read_ledger(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_entries_are_what_was_issued(ca):
    folder = ca.issue("meter", Role.PUBLISHER, hosts=["::1"], attributes={"region": "eu"}, now=NOW)
    identity = StoredIdentity.load(folder).identity
    (entry,) = read_ledger(ca.ledger_path)
    assert (entry.name, entry.role, entry.attributes) == ("meter", Role.PUBLISHER, {"region": "eu"})
    assert (entry.uri, entry.hosts) == (identity.uri, ("::1",))
    assert (entry.spki, entry.spki_sha256) == (identity.spki, identity.spki_sha256)
    assert entry.not_before < NOW < entry.not_after == identity.not_after
    assert entry.serial.bit_length() == 127


def test_entries_keep_their_order_and_the_last_of_an_identity_holds(ca):
    ca.issue("meter", Role.PUBLISHER, attributes={"region": "eu"}, now=NOW)
    ca.issue("sink", Role.SINK, now=NOW)
    ca.issue("meter", Role.CACHE, attributes={"region": "us"}, now=NOW, replace=True)
    entries = read_ledger(ca.ledger_path)
    assert [entry.name for entry in entries] == ["meter", "sink", "meter"]
    latest = latest_by_uri(entries)
    assert latest["urn:dev:org:32473-meter"].attributes == {"region": "us"}
    assert latest["urn:dev:org:32473-meter"].role is Role.CACHE
    assert len(latest) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"uri": "urn:dev:org:32473-other"},
        {"serial": "1"},
        {"not_after": "2099-01-01T00:00:00Z"},
        {"not_before": "2020-01-01T00:00:00Z"},
        {"spki_sha256": "00" * 32},
        {"hosts": []},
        {"role": "king"},
        {"role": None},
        {"name": 7},
        {"name": "other"},
        {"attributes": []},
        {"attributes": {"region": 7}},
        {"attributes": {"re gion": "eu"}},
        {"certificate": "junk"},
        {"certificate": None},
        {"certificate": small_pki().ca.ca_pem.decode()},
        {"surprise": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_line_that_disagrees_with_its_certificate_is_refused(change, ca, line):
    ca.ledger_path.write_text(json.dumps(line | change) + "\n")
    refused(ca.ledger_path, 1)


@pytest.mark.parametrize("key", ["name", "uri", "role", "serial", "attributes", "certificate"])
def test_a_line_that_lacks_a_field_is_refused(key, ca, line):
    del line[key]
    ca.ledger_path.write_text(json.dumps(line) + "\n")
    refused(ca.ledger_path, 1)


@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b"null", b"junk", b"\xff\xfe", b"[" * 100_000])
def test_a_line_of_junk_is_refused_with_its_number(junk, ca, line):
    with ca.ledger_path.open("ab") as ledger:
        ledger.write(junk + b"\n")
    refused(ca.ledger_path, 2)


def test_a_damaged_ledger_stops_the_authority(ca):
    ca.ledger_path.write_bytes(b"junk\n")
    for replace in (False, True):
        with pytest.raises(ConfigurationError, match="line 1"):
            ca.issue("meter", Role.PUBLISHER, now=NOW, replace=replace)
    assert ca.ledger_path.read_bytes() == b"junk\n"


def test_a_missing_ledger_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"absent\.jsonl: the ledger cannot be read"):
        read_ledger(tmp_path / "absent.jsonl")
