"""Fingerprints of requests: two requests for the same have the same one, however they were sent."""

from email.message import EmailMessage
from hashlib import sha256

from fastapi import Request
from flexserve.request_observability import UPLOAD_PATH_SUFFIX
from starlette.types import Message

BOUNDARY = b"\0border\0"
"""Stands for the boundary between the parts of a form, which clients choose anew for each request."""


class RequestFingerprint:
    """A request and the hash of its content. Uploads are streamed, so their hash is complete only at their end."""

    def __init__(self, request: Request, known: bytes, content: "ContentHash | None" = None) -> None:
        self.request = request
        self.known = known
        """Return a hash of everything but uploaded files."""
        self.content = content

    @property
    def current(self) -> bytes:
        """Return the hash of everything that has arrived."""
        return self.known if self.content is None else self.known + self.content.digest()

    async def complete(self) -> bytes:
        """Read the rest of the body, and return the hash of everything."""
        if self.content is not None:
            async for _ in self.request.stream():
                pass
        return self.current


class ContentHash:
    """The hash of a streamed body, in which the boundaries of a form do not count."""

    def __init__(self, boundary: bytes | None) -> None:
        self._boundary = boundary
        self._hash = sha256()
        self._rest = b""
        """The last bytes, which may be the beginning of a boundary."""

    def add(self, data: bytes) -> None:
        """Add the next part of the body."""
        if not self._boundary:
            self._hash.update(data)
            return
        *whole, last = (self._rest + data).split(self._boundary)
        for part in whole:
            self._hash.update(part + BOUNDARY)
        done = max(0, len(last) - len(self._boundary) + 1)
        self._hash.update(last[:done])
        self._rest = last[done:]

    def digest(self) -> bytes:
        """Return the hash of what was added so far."""
        whole = self._hash.copy()
        whole.update(self._rest)
        return whole.digest()


async def fingerprint_of(request: Request, scopes: list[str], only_account: int | None) -> RequestFingerprint:
    """Return the fingerprint of a request.

    The rights of its token are part of it, so that a token with fewer rights does not get the response to another's.
    """
    rights = f"{sorted(scopes)} {only_account}"
    head = f"{request.method} {request.url.path}?{request.url.query}\n{rights}\n".encode()
    if not request.url.path.endswith(UPLOAD_PATH_SUFFIX):
        return RequestFingerprint(request, sha256(head + await request.body()).digest())
    content = ContentHash(boundary_of(request))
    return RequestFingerprint(hashing_request(request, content), sha256(head).digest(), content)


def boundary_of(request: Request) -> bytes | None:
    """Return the boundary between the parts of a form, or None if the body is no form."""
    header = EmailMessage()
    header["Content-Type"] = request.headers.get("content-type", "")
    boundary = header.get_boundary()
    return boundary.encode("latin-1", "replace") if boundary else None


def hashing_request(request: Request, content: ContentHash) -> Request:
    """Return the same request, whose body is added to the hash as it arrives."""

    async def receive() -> Message:
        message = await request.receive()
        content.add(message.get("body", b""))
        return message

    return type(request)(request.scope, receive)
