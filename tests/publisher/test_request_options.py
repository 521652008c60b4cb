"""Options of requests: what is not understood is not answered, and a target is never guessed."""

from __future__ import annotations

import pytest
from aiocoap import Message
from aiocoap.error import BadOption, ProxyingNotSupported

from twoway.publisher.requests import method_of, require_understood, target_of
from twoway.publisher.target import Target
from twoway.tickets import Method


def request(*options: tuple[int, bytes], code: int = 1) -> Message:
    """A request as it comes from the wire, with any options in any number."""
    data, last = bytearray([0x40, code, 0x12, 0x34]), 0
    for number, value in sorted(options, key=lambda option: option[0]):
        delta, length = number - last, len(value)
        last = number
        nibble = 13 if delta >= 13 else delta
        data.append(nibble << 4 | length)
        if nibble == 13:
            data.append(delta - 13)
        data += value
    return Message.decode(bytes(data))


IF_MATCH, URI_HOST, ETAG, IF_NONE_MATCH, OBSERVE, URI_PORT, OSCORE, URI_PATH = 1, 3, 4, 5, 6, 7, 9, 11
URI_PATH_ABBREV, URI_QUERY, ACCEPT, BLOCK2, BLOCK1, PROXY_URI, PROXY_SCHEME, SIZE1 = (
    13,
    15,
    17,
    23,
    27,
    35,
    39,
    60,
)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ((URI_PATH, b"power"), (URI_PATH, b"now"), (URI_QUERY, b"a"), (URI_QUERY, b"b")),
        ((URI_HOST, b"localhost"), (URI_PORT, b"\x16\x34"), (URI_PATH, b"power")),
        ((ETAG, b"12345678"), (ETAG, b"87654321"), (OBSERVE, b""), (ACCEPT, b"\x70")),
        ((BLOCK2, b"\x16"), (SIZE1, b"")),
        ((BLOCK1, b"\x0e"),),
        ((250, b"elective"),),
    ],
)
def test_what_clients_ordinarily_send_is_understood(options):
    require_understood(request(*options))


@pytest.mark.parametrize(
    "options",
    [
        ((URI_PATH_ABBREV, b"\x00"),),
        ((OSCORE, b"\x09"),),
        ((IF_MATCH, b""),),
        ((IF_NONE_MATCH, b""),),
        ((251, b"critical"),),
        ((URI_HOST, b"a"), (URI_HOST, b"b")),
        ((URI_PORT, b"\x01"), (URI_PORT, b"\x02")),
        ((ACCEPT, b"\x70"), (ACCEPT, b"\x6e")),
        ((BLOCK1, b"\x0e"), (BLOCK1, b"\x16")),
        ((BLOCK2, b"\x06"), (BLOCK2, b"\x16")),
    ],
)
def test_a_critical_option_that_is_not_understood_fails_the_request(options):
    with pytest.raises(BadOption):
        require_understood(request((URI_PATH, b"power"), *options))


@pytest.mark.parametrize("option", [(PROXY_URI, b"coap://x/"), (PROXY_SCHEME, b"coap")])
def test_nothing_is_forwarded(option):
    with pytest.raises(ProxyingNotSupported):
        require_understood(request((URI_PATH, b"authz-info"), option))


def test_a_target_is_the_options_as_they_are():
    asked = request((URI_PATH, b"a/b"), (URI_PATH, b""), (URI_QUERY, b"x=1"))
    assert target_of(asked) == Target(("a/b", ""), ("x=1",))


def test_host_and_port_are_no_part_of_a_target():
    assert target_of(request((URI_HOST, b"evil"), (URI_PATH, b"power"))) == Target(("power",))


@pytest.mark.parametrize(
    ("code", "method"), [(1, Method.GET), (2, Method.POST), (7, Method.IPATCH), (8, Method(0))]
)
def test_methods_are_named_as_scopes_name_them(code, method):
    assert method_of(request(code=code)) == method
