"""Where requests may go whose address users choose: never into our own network."""

import asyncio
import ipaddress
import socket

import httpx

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PrivateAddressError(httpx.ConnectError):
    """The host is in a network that is not public."""


def is_public(address: Address) -> bool:
    """Whether anyone on the internet means the same by it. IPv4 addresses inside IPv6 ones count as what they are."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"{host} is not a known host.") from error
    return [str(address[0]) for *_, address in found]


class PublicAddressTransport(httpx.AsyncBaseTransport):
    """Sends requests to public addresses only.

    It connects to the very address it has checked: asked again, the name could lead somewhere else. And it connects
    anew each time: a connection that stays open is known by its address, so that one to another name at that address
    would do, whose certificate was never checked for this one.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        addresses = await resolve(host, port)
        if not addresses or not all(is_public(ipaddress.ip_address(address)) for address in addresses):
            raise PrivateAddressError(f"{host} is at a private address, where nothing is sent.")
        # The header `Host` was set from the name already; certificates are checked against it too.
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.headers["Connection"] = "close"
        request.url = request.url.copy_with(host=addresses[0])
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()
