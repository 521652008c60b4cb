"""The region of an address: the longest prefix wins, and what is not known has none."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_mmdb import write_mmdb

from twoway.errors import ConfigurationError
from twoway.policy.regions import RegionTable, plain_address

TABLE = """\
# who is served where
192.0.2.0/24, north
192.0.2.128/25,south
2001:db8::/32,north
2001:db8:1::/48,"west, and beyond"

0.0.0.0/0,elsewhere
"""


@pytest.fixture
def load(tmp_path):
    def load(text, name="regions.csv"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return RegionTable.load(path)

    return load


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("192.0.2.1", "north"),
        ("192.0.2.129", "south"),
        ("198.51.100.1", "elsewhere"),
        ("2001:db8::1", "north"),
        ("2001:db8:1::1", "west, and beyond"),
        ("2001:db9::1", None),
        ("::ffff:192.0.2.129", "south"),
        ("::1", None),
    ],
)
def test_the_longest_prefix_wins_and_mapped_addresses_are_ipv4(load, address, region):
    assert load(TABLE).region_of(ip_address(address)) == region


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
            lambda pair: str(ip_network(pair, strict=False))
        ),
        st.sampled_from("abc"),
        max_size=12,
    ),
    st.integers(0, 2**32 - 1),
)
def test_the_table_says_what_looking_at_every_prefix_says(tmp_path_factory, regions, number):
    path = tmp_path_factory.mktemp("regions") / "r.csv"
    path.write_text("".join(f"{prefix},{region}\n" for prefix, region in regions.items()))
    address = ip_address(number)
    holding = [network for network in map(ip_network, regions) if address in network]
    longest = max(holding, key=lambda network: network.prefixlen, default=None)
    expected = None if longest is None else regions[str(longest)]
    assert RegionTable.load(path).region_of(address) == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("192.0.2.1/24,north", "line 1: 192.0.2.1/24 has host bits set"),
        ("192.0.2.0/24", "line 1: it is not a prefix, a comma and a region"),
        ("192.0.2.0/24,", "line 1: it is not a prefix, a comma and a region"),
        ("# x\n192.0.2.0/24,north,south", "line 2: it is not a prefix, a comma and a region"),
        ("prefix,region", "line 1: 'prefix' does not appear to be an IPv4 or IPv6 network"),
        ("192.0.2.0/24,a\n192.0.2.0/24,b", "line 2: 192.0.2.0/24 has two regions"),
        ("::ffff:192.0.2.0/120,a", "::ffff:c000:200/120 is IPv4 inside of IPv6: write it as IPv4"),
    ],
)
def test_a_bad_line_is_one_sentence_with_its_number(load, tmp_path, text, what):
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert str(caught.value).startswith(f"{tmp_path / 'regions.csv'}: ")
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path):
    for path in (tmp_path / "missing.csv", tmp_path / "missing.mmdb", tmp_path):
        with pytest.raises(ConfigurationError, match="table of regions cannot be read"):
            RegionTable.load(path)
    for name in ("broken.csv", "broken.mmdb"):
        (tmp_path / name).write_bytes(b"\xff\xfe" * 100)
        with pytest.raises(ConfigurationError, match="table of regions cannot be read") as caught:
            RegionTable.load(tmp_path / name)
        assert "\n" not in str(caught.value)


class TestMaxMind:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "regions.mmdb"
        write_mmdb(
            path,
            {
                "192.0.2.0/24": {"region": "north", "country": {"iso_code": "CH"}},
                "2001:db8::/32": {"region": "west", "country": "none"},
                "198.51.100.0/24": {"region": ""},
            },
        )
        return path

    @pytest.mark.parametrize(
        ("address", "region"),
        [
            ("192.0.2.7", "north"),
            ("::ffff:192.0.2.7", "north"),
            ("2001:db8::7", "west"),
            ("203.0.113.1", None),
            ("2001:db9::7", None),
            ("198.51.100.1", None),
        ],
    )
    def test_a_record_tells_the_region(self, path, address, region):
        assert RegionTable.load(path).region_of(ip_address(address)) == region

    def test_the_region_may_stand_deeper_in_the_record(self, path):
        table = RegionTable.load(path, "country.iso_code")
        assert table.region_of(ip_address("192.0.2.7")) == "CH"
        assert table.region_of(ip_address("2001:db8::7")) is None

    def test_an_ipv6_address_has_no_region_in_a_database_for_ipv4(self, tmp_path):
        write_mmdb(tmp_path / "v4.mmdb", {"192.0.2.0/24": {"region": "north"}}, ip_version=4)
        table = RegionTable.load(tmp_path / "v4.mmdb")
        assert table.region_of(ip_address("192.0.2.7")) == "north"
        assert table.region_of(ip_address("2001:db8::7")) is None

    def test_the_file_may_be_replaced_while_it_is_in_use(self, path):
        table = RegionTable.load(path)
        path.write_bytes(b"")
        assert table.region_of(ip_address("192.0.2.7")) == "north"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("localhost", None),
        ("", None),
    ],
)
def test_a_sockets_name_for_an_address_is_made_plain(text, address):
    assert plain_address(text) == (None if address is None else ip_address(address))


def test_a_table_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    (tmp_path / "broken.csv").write_bytes(b"\xff\xfe" * 100)
    (tmp_path / "broken.mmdb").write_bytes(b"\xff\xfe" * 100)
    for name, why in (
        ("missing.csv", "No such file"),
        ("missing.mmdb", "No such file"),
        ("broken.csv", "it is not text in UTF-8"),
        ("broken.mmdb", "it is not a MaxMind DB"),
    ):
        with pytest.raises(ConfigurationError, match=why) as caught:
            RegionTable.load(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)


def test_a_table_is_read_whole_or_refused(load, tmp_path, monkeypatch):
    text = "192.0.2.0/24,north\n198.51.100.0/24,south"
    monkeypatch.setattr("twoway.policy.regions._FILE_LIMIT_BYTES", len(text))
    assert load(text).region_of(ip_address("198.51.100.1")) == "south"
    with pytest.raises(ConfigurationError, match="too large for a table") as caught:
        load(text + "\n")
    assert caught.value.where == str(tmp_path / "regions.csv")


def test_a_region_in_quotes_may_stand_behind_a_space(load):
    assert load('192.0.2.0/24, "west, and beyond"').region_of(ip_address("192.0.2.1")) == "west, and beyond"


def test_each_line_of_a_table_is_told_by_its_own_number(load):
    with pytest.raises(ConfigurationError, match="line 3: ::ffff:c000:200/120 is IPv4 inside of IPv6"):
        load("# comment\n192.0.2.0/24,north\n::ffff:192.0.2.0/120,south")
