"""Which addresses a worker may connect to. They are checked when they are connected to, not when a name is looked
at, so that a name that answers differently the second time gains nothing."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any, Final

import httpcore
import httpx
from plaza_kit.errors import FailedPrecondition, Unavailable

_METADATA: Final = frozenset({ipaddress.ip_address("100.100.100.200"), ipaddress.ip_address("fd00:ec2::254")})
"""Metadata services of clouds that are not at a link-local address."""
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ForbiddenAddress(FailedPrecondition):
    """The host is at an address that a source may not have."""


class UnknownHost(Unavailable):
    """The host's name has no address."""


def permitted_addresses(host: str, port: int) -> list[str]:
    """The host's addresses, in the resolver's order. Link-local ones, behind which clouds keep the credentials of
    their machines, are none. Raises UnknownHost, ForbiddenAddress."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UnknownHost(
            f"The host {host!r} has no address: {error}",
            remedy="Check the name, and the worker's name server.",
        ) from error
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    permitted = [address for address in addresses if not is_forbidden(address)]
    if not permitted:
        raise ForbiddenAddress(
            f"The host {host!r} is at {addresses[0]}: no source is fetched from link-local addresses.",
            remedy="Give the address of the source itself.",
        )
    return permitted


def is_forbidden(text: str) -> bool:
    """Whether a source may not be there; also when a forbidden IPv4 address is written as one of IPv6."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return any(one.is_link_local or one in _METADATA for one in _meanings(address))


def _meanings(address: Address) -> Iterable[Address]:
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            yield inner
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


class _GuardedBackend(httpcore.NetworkBackend):
    """Connects to permitted addresses only."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        error: Exception | None = None
        for address in permitted_addresses(host, port):
            try:
                return self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
        assert error is not None, "a host has an address"
        raise error


class GuardedTransport(httpx.HTTPTransport):
    """httpx over connections that were looked at. No proxy: it would connect in our place, unseen."""

    def __init__(self) -> None:
        super().__init__()
        self._pool.close()
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(), network_backend=_GuardedBackend()
        )
