"""Guard against server-side request forgery: requests to addresses that users choose never reach our own network."""

import asyncio
import ipaddress
import socket

import httpx

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PrivateAddressError(httpx.ConnectError):
    """The host is in a network that is not public."""


def is_public(address: Address) -> bool:
    """Return whether the address is globally reachable. An IPv4 address embedded in an IPv6 one counts as itself."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            embedded = ipaddress.IPv4Address(address.packed[-4:])
        if embedded is not None:
            return is_public(embedded)
    return address.is_global and not address.is_multicast


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
        addresses = await resolve(host, port)
        if not addresses or not all(is_public(ipaddress.ip_address(address)) for address in addresses):
            raise PrivateAddressError(f"{host} is at a private address, where nothing is sent.")
        # The `Host` header already holds the name. The certificate is checked against the name too.
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.headers["Connection"] = "close"
        request.url = request.url.copy_with(host=addresses[0])
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()
