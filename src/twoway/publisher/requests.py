"""Reading a request before anybody acts on it: its options, its target, its method.

It owns what RFC 7252 section 5.4 demands of a server that meets options it does not understand. It
must never guess: a target is the options themselves, never a URI that was printed and parsed again.
"""

from __future__ import annotations

from collections import Counter

from aiocoap import Message
from aiocoap.error import BadOption, ProxyingNotSupported
from aiocoap.numbers import OptionNumber

from twoway.publisher.target import Target
from twoway.tickets import Method

_PROXY_OPTIONS = frozenset({OptionNumber.PROXY_URI, OptionNumber.PROXY_SCHEME})

_SINGLE_OPTIONS = frozenset(
    {
        OptionNumber.URI_HOST,
        OptionNumber.URI_PORT,
        OptionNumber.ACCEPT,
        OptionNumber.BLOCK1,
        OptionNumber.BLOCK2,
    }
)
"""Critical options that we understand once. Uri-Host and Uri-Port name us: there is one site behind the
socket, so whatever they say is answered by the same resources under the same rules."""

_REPEATABLE_OPTIONS = frozenset({OptionNumber.URI_PATH, OptionNumber.URI_QUERY})
"""Critical options that we understand, any number of times."""


def require_understood(request: Message) -> None:
    """Let a request pass whose critical options are all understood (RFC 7252 sections 5.4.1, 5.4.5, 5.7.2).

    A library may understand more than this server means to offer, such as an option that abbreviates a
    path. What is not listed here changes nothing about what a request asks for, or the request fails.

    Raises:
        BadOption: 4.02, an unknown critical option, or one that may stand once stands there twice.
        ProxyingNotSupported: 5.05, the request wants to be forwarded.
    """
    counts = Counter(OptionNumber(option.number) for option in request.opt.option_list())
    for number, count in counts.items():
        if number in _PROXY_OPTIONS:
            raise ProxyingNotSupported
        if number.is_elective() or number in _REPEATABLE_OPTIONS:
            continue
        if number not in _SINGLE_OPTIONS or count > 1:
            raise BadOption


def target_of(request: Message) -> Target:
    """Return what ``request`` asks for."""
    return Target(tuple(request.opt.uri_path), tuple(request.opt.uri_query))


def method_of(request: Message) -> Method:
    """Return the method as scopes name it, or none for one that they cannot name."""
    return Method.from_code(int(request.code))
