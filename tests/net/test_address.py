"""Addresses: one form for people, one for cookies, one for sockets."""

import socket

import pytest

from twoway.errors import ConfigurationError, NetworkError
from twoway.net.address import (
    bound_socket,
    packed,
    packed_network,
    plain,
    reachable_from,
    unpacked,
    written,
)


def resolved(family, address):
    return (family, socket.SOCK_DGRAM, 17, "", address)


def test_an_ipv4_address_on_a_dual_stack_socket_is_the_same_address():
    mapped = ("::ffff:192.0.2.1", 5684, 0, 0)
    assert plain(mapped) == plain(("192.0.2.1", 5684)) == ("192.0.2.1", 5684)
    assert packed(mapped) == packed(("192.0.2.1", 5684))
    assert packed_network(mapped) == packed_network(("192.0.2.1", 1))


def test_ipv6_stands_in_brackets_where_a_port_follows():
    assert written("2001:db8::1", 5684) == "[2001:db8::1]:5684"
    assert written("192.0.2.1", 5684) == "192.0.2.1:5684"


def test_the_packed_form_tells_port_host_and_zone_apart():
    addresses = [
        ("192.0.2.1", 1),
        ("192.0.2.1", 2),
        ("192.0.2.2", 1),
        ("fe80::1", 1, 0, 0),
        ("fe80::1", 1, 0, 2),
        ("fe80::1", 1, 0, 3),
        ("::c000:201", 1, 0, 0),
    ]
    assert len({packed(address) for address in addresses}) == len(addresses)


def test_a_link_local_address_keeps_its_zone():
    assert plain(("fe80::1", 5684, 0, 3)) == ("fe80::1%3", 5684)


def test_one_ipv6_subnet_counts_as_one_host():
    assert packed_network(("2001:db8::1", 1, 0, 0)) == packed_network(("2001:db8::ffff:2", 9, 0, 0))
    assert packed_network(("2001:db8::1", 1, 0, 0)) != packed_network(("2001:db8:0:1::1", 1, 0, 0))


def test_a_busy_port_is_told_in_one_sentence():
    with bound_socket("", [], 0) as first:
        port = first.getsockname()[1]
        for host, lines in (("", []), ("127.0.0.1", [resolved(socket.AF_INET, ("127.0.0.1", port))])):
            with pytest.raises(NetworkError, match=f":{port}: the UDP port is already in use; "):
                bound_socket(host, lines, port)


def test_a_port_taken_on_ipv4_alone_is_busy_for_the_wildcard():
    with bound_socket("127.0.0.1", [resolved(socket.AF_INET, ("127.0.0.1", 0))], 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(NetworkError, match="already in use"):
            bound_socket("", [], port)


def test_an_address_of_another_machine_cannot_be_listened_on():
    with pytest.raises(
        ConfigurationError, match=r"192\.0\.2\.1:5684: this is not an address of this machine"
    ):
        bound_socket("192.0.2.1", [resolved(socket.AF_INET, ("192.0.2.1", 5684))], 5684)


def test_a_name_without_an_address_cannot_be_listened_on():
    with pytest.raises(ConfigurationError, match=r"nowhere\.example"):
        bound_socket("nowhere.example", [], 5684)


@pytest.fixture
def both_families():
    return [resolved(socket.AF_INET6, ("2001:db8::1", 1, 0, 0)), resolved(socket.AF_INET, ("192.0.2.1", 1))]


def test_a_dual_stack_socket_reaches_both_families(both_families):
    with bound_socket("", [], 0) as sock:
        assert reachable_from(sock, both_families * 2) == [
            ("2001:db8::1", 1, 0, 0),
            ("::ffff:192.0.2.1", 1, 0, 0),
        ]


def test_a_socket_of_one_family_leaves_the_other_out(both_families):
    with bound_socket("127.0.0.1", [resolved(socket.AF_INET, ("127.0.0.1", 0))], 0) as sock:
        assert reachable_from(sock, both_families) == [("192.0.2.1", 1)]
    with bound_socket("::1", [resolved(socket.AF_INET6, ("::1", 0, 0, 0))], 0) as sock:
        assert reachable_from(sock, both_families) == [("2001:db8::1", 1, 0, 0)]


@pytest.mark.parametrize(
    ("address", "family"),
    [
        (("192.0.2.1", 5684), socket.AF_INET),
        (("::ffff:192.0.2.1", 5684, 0, 0), socket.AF_INET6),
        (("2001:db8::1", 5684, 0, 0), socket.AF_INET6),
        (("fe80::1%lo", 5684, 0, socket.if_nametoindex("lo")), socket.AF_INET6),
    ],
)
def test_a_packed_address_comes_back_as_the_socket_writes_it(address, family):
    assert unpacked(packed(address), family) == address


def test_a_packed_address_fits_the_socket_that_there_is_now():
    assert unpacked(packed(("192.0.2.1", 1)), socket.AF_INET6) == ("::ffff:192.0.2.1", 1, 0, 0)
    assert unpacked(packed(("::ffff:192.0.2.1", 1, 0, 0)), socket.AF_INET) == ("192.0.2.1", 1)
    assert unpacked(packed(("2001:db8::1", 1, 0, 0)), socket.AF_INET) is None
    assert unpacked(packed(("fe80::1%lo", 1, 0, 2**31)), socket.AF_INET6) is None


@pytest.mark.parametrize("data", [b"", b"\x00", bytes(5), bytes(7), bytes(18), bytes(30)])
def test_what_is_no_packed_address_is_none(data):
    assert unpacked(data, socket.AF_INET6) is None
