"""Addresses: from what a person writes to what a socket takes, and back.

On a dual-stack socket the operating system writes an IPv4 address in two ways (``::ffff:192.0.2.1``).
Here, and nowhere else, the two are told apart: everything that leaves this package says ``192.0.2.1``.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from typing import Final

from twoway.errors import ConfigurationError, NetworkError

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""An address as the socket module gives and takes it; two of one socket are equal if they are the same."""

ResolvedAddress = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]
"""One line of what ``getaddrinfo`` returns."""

MAPPED: Final = "::ffff:"
"""RFC 4291 section 2.5.5.2."""

RECEIVE_BUFFER_BYTES: Final = 4 * 2**20
"""The default of 208 KiB holds the acknowledgements of some hundred observers, then loses them; Linux
grants at most ``net.core.rmem_max``."""

_BIND_ERRORS: Final = {
    errno.EACCES: ("this user may not listen there", "choose a port above 1023"),
    errno.EADDRNOTAVAIL: ("this is not an address of this machine", "listen on one that it has"),
}


def written(host: str, port: int) -> str:
    """Write an address as it stands in a URI: ``192.0.2.1:5684``, ``[2001:db8::1]:5684``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def plain(address: SocketAddress) -> tuple[str, int]:
    """Return host and port as a person writes them, with the zone of a link-local address."""
    host = address[0].removeprefix(MAPPED) if "." in address[0] else address[0]
    if len(address) == 4 and address[3] and "%" not in host:
        host = f"{host}%{address[3]}"
    return host, address[1]


def packed(address: SocketAddress) -> bytes:
    """Return one unambiguous form of an address: 4 or 16 bytes of host, 4 of zone for IPv6, 2 of port."""
    return _packed_host(address) + address[1].to_bytes(2)


def unpacked(data: bytes, family: int) -> SocketAddress | None:
    """Write an address that :func:`packed` has packed as a socket of that family takes it.

    Returns:
        None for an address that such a socket cannot send to, or for bytes that are no address.
    """
    host, port = data[:-2], int.from_bytes(data[-2:])
    if len(host) == 4:
        text = socket.inet_ntop(socket.AF_INET, host)
        return (text, port) if family == socket.AF_INET else (MAPPED + text, port, 0, 0)
    if len(host) == 20 and family == socket.AF_INET6:
        zone = int.from_bytes(host[16:])
        text = socket.inet_ntop(socket.AF_INET6, host[:16])
        try:
            # As recvfrom writes it: a link-local address with the name of its zone.
            return (f"{text}%{socket.if_indextoname(zone)}" if zone else text, port, 0, zone)
        except OSError:
            return None  # That interface is gone.
    return None


def packed_network(address: SocketAddress) -> bytes:
    """Return what one host cannot change about its address: all of IPv4, the first 64 bits of IPv6."""
    host = _packed_host(address)
    return host if len(host) == 4 else host[:8]


def _packed_host(address: SocketAddress) -> bytes:
    host = address[0].partition("%")[0]
    if ":" not in host:
        return socket.inet_pton(socket.AF_INET, host)
    if host.startswith(MAPPED) and "." in host:
        return socket.inet_pton(socket.AF_INET, host.removeprefix(MAPPED))
    zone = address[3] if len(address) == 4 else 0
    return socket.inet_pton(socket.AF_INET6, host) + zone.to_bytes(4)


def bound_socket(host: str, resolved: Iterable[ResolvedAddress], port: int) -> socket.socket:
    """Make the UDP socket of an endpoint.

    Neither SO_REUSEADDR nor SO_REUSEPORT is set: two programs would share a port without noticing, and
    each would get half of the datagrams.

    Args:
        host: what the operator wrote; empty for every address of both families.
        resolved: what the host resolved to; not looked at if ``host`` is empty.
        port: UDP port, 0 for a free one.

    Raises:
        NetworkError: for a port that is in use.
        ConfigurationError: for an address that is not ours.
    """
    if not host:
        return _wildcard_socket(port)
    for family, _, _, _, address in resolved:
        return _bind(family, address, dual_stack=False)
    raise ConfigurationError("no address is known for this name", where=host)


def _wildcard_socket(port: int) -> socket.socket:
    if socket.has_ipv6:
        try:
            return _bind(socket.AF_INET6, ("::", port), dual_stack=True)
        except ConfigurationError:
            pass  # A kernel that was started without IPv6 fails here; IPv4 is left.
    return _bind(socket.AF_INET, ("0.0.0.0", port), dual_stack=False)  # noqa: S104 asked for by an empty host


def _bind(family: int, address: tuple[object, ...], *, dual_stack: bool) -> socket.socket:
    where = written(str(address[0]), int(str(address[1])))
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)
    except OSError as fault:
        raise ConfigurationError(_told(fault), where=where) from None
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual_stack))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.setblocking(False)
        sock.bind(address)
    except OSError as fault:
        sock.close()
        if fault.errno == errno.EADDRINUSE:
            raise NetworkError(
                "the UDP port is already in use",
                where=where,
                remedy="stop the program that holds it or listen on another port",
            ) from None
        what, remedy = _BIND_ERRORS.get(fault.errno or 0, (_told(fault), None))
        raise ConfigurationError(what, where=where, remedy=remedy) from None
    return sock


def _told(fault: OSError) -> str:
    return (fault.strerror or str(fault)).lower()


def reachable_from(sock: socket.socket, resolved: Iterable[ResolvedAddress]) -> list[SocketAddress]:
    """Write resolved addresses as this socket takes them; leave out the family that it cannot send to."""
    mapped = sock.family == socket.AF_INET6 and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    addresses: list[SocketAddress] = []
    for family, _, _, _, address in resolved:
        host, port = str(address[0]), int(address[1])
        if family == sock.family and len(address) == 4:
            addresses.append((host, port, 0, int(address[3])))
        elif family == sock.family:
            addresses.append((host, port))
        elif family == socket.AF_INET and mapped:
            addresses.append((MAPPED + host, port, 0, 0))
    return list(dict.fromkeys(addresses))
