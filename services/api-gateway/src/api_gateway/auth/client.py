"""The client of a request, before it is authenticated."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Annotated

from fastapi import Depends, Request

LONGEST_PROGRAM = 200


@dataclass(frozen=True, slots=True)
class Client:
    address: str
    program: str | None = None
    """The value of `User-Agent`."""

    @property
    def network(self) -> str:
        """The address; of an IPv6 address the part that its holder cannot choose."""
        try:
            parsed = ip_address(self.address)
        except ValueError:
            return self.address
        return parsed.exploded[:19] if isinstance(parsed, IPv6Address) else self.address


async def client_of(request: Request) -> Client:
    program = request.headers.get("user-agent", "")[:LONGEST_PROGRAM]
    return Client(request.client.host if request.client else "unknown", program or None)


Asking = Annotated[Client, Depends(client_of)]
