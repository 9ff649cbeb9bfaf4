"""Guard against server-side request forgery: requests to addresses that users choose never reach our own network."""

import asyncio
import ipaddress
import socket

import httpx

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that IANA gives out to networks of IPv6. Addresses outside are special, known to this module or not."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # protocol assignments; some clouds answer here as their metadata service
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT relays
        "192.88.99.0/24",  # 6to4 relays
        "192.175.48.0/24",  # AS112
        "168.63.129.16/32",  # the metadata service of Azure, among addresses that are public otherwise
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
"""Networks of special purpose, from IANA's registries, beside those that `ipaddress` knows in every version."""

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PrivateAddressError(httpx.ConnectError):
    """The host is in a network that is not public."""


def is_public(address: Address) -> bool:
    """Return whether the address is of global unicast and of no special purpose.

    An IPv4 address that a system or a NAT64 gateway reaches through an IPv6 one counts as itself.
    """
    if isinstance(address, ipaddress.IPv6Address):
        embedded = ipaddress.IPv4Address(address.packed[-4:]) if address in NAT64 else address.ipv4_mapped
        if embedded is not None:
            return is_public(embedded)
        if address.scope_id is not None or address not in GLOBAL_UNICAST:
            return False
    elif address.is_multicast or address.is_reserved:
        return False
    return address.is_global and not any(address in network for network in SPECIAL)


async def resolve_public(host: str, port: int) -> list[str]:
    """Return the addresses of a host, all of them public.

    Raises:
        httpx.ConnectError: The host is unknown.
        PrivateAddressError: One of its addresses is not public.
    """
    addresses = await resolve(host, port)
    if not addresses or not all(is_public(ipaddress.ip_address(address)) for address in addresses):
        raise PrivateAddressError(f"{host} is at a private address, where nothing is sent.")
    return addresses


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host.

    Raises:
        httpx.ConnectError: The host is unknown.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"{host} is not a known host.") from error
    return [str(address[0]) for *_, address in found]


class PublicAddressTransport(httpx.AsyncBaseTransport):
    """An HTTP transport that sends requests to public addresses only.

    It connects to the very address that was checked, because a second look-up of the name could return another one
    (DNS rebinding). It opens a new connection for each request: a pooled connection is known by its address alone, so
    a request for another name at that address would use it without a check of that name's certificate.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        addresses = await resolve_public(host, port)
        # The `Host` header already holds the name. The certificate is checked against the name too.
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.headers["Connection"] = "close"
        request.url = request.url.copy_with(host=addresses[0])
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()
