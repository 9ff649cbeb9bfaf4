"""What a request asks for, as a hash: two that ask for the same have the same, however they were sent."""

from email.message import EmailMessage
from hashlib import sha256
from typing import Any

from fastapi import Request
from flexserve.request_observability import UPLOAD_PATH_SUFFIX
from starlette.types import Message

BORDER = b"\0border\0"
"""Stands for what a client puts between the parts of a form: other words each time."""


class Asked:
    """A request, and what is known of what it asks for. Files are passed on, and so are known only at their end."""

    def __init__(self, request: Request, known: bytes, content: "Content | None" = None) -> None:
        self.request = request
        self.known = known
        """A hash of all but files."""
        self.content = content

    @property
    def in_full(self) -> bytes:
        """A hash of everything that has arrived."""
        return self.known if self.content is None else self.known + self.content.digest()

    async def to_the_end(self) -> bytes:
        """A hash of everything, once it has arrived."""
        if self.content is not None:
            async for _ in self.request.stream():
                pass
        return self.in_full


class Content:
    """A hash of a body that comes in pieces."""

    def __init__(self, border: bytes | None) -> None:
        self._border = border
        self._hash = sha256()
        self._rest = b""
        """May be the beginning of a border."""

    def add(self, data: bytes) -> None:
        if not self._border:
            self._hash.update(data)
            return
        *whole, last = (self._rest + data).split(self._border)
        for part in whole:
            self._hash.update(part + BORDER)
        done = max(0, len(last) - len(self._border) + 1)
        self._hash.update(last[:done])
        self._rest = last[done:]

    def digest(self) -> bytes:
        whole = self._hash.copy()
        whole.update(self._rest)
        return whole.digest()


async def asked_in(request: Request, caller: Any) -> Asked:
    """What this caller asks for. What another token may do is not answered to one that may do less."""
    may = f"{sorted(caller['scopes'])} {caller['only_account']}"
    asked = f"{request.method} {request.url.path}?{request.url.query}\n{may}\n".encode()
    if not request.url.path.endswith(UPLOAD_PATH_SUFFIX):
        return Asked(request, sha256(asked + await request.body()).digest())
    content = Content(border_of(request))
    return Asked(listened_to(request, content), sha256(asked).digest(), content)


def border_of(request: Request) -> bytes | None:
    """What is between the parts of a form; None: it is no form."""
    header = EmailMessage()
    header["Content-Type"] = request.headers.get("content-type", "")
    border = header.get_boundary()
    return border.encode("latin-1", "replace") if border else None


def listened_to(request: Request, content: Content) -> Request:
    """The same request, whose body is added to the content as it arrives."""

    async def receive() -> Message:
        message = await request.receive()
        content.add(message.get("body", b""))
        return message

    return type(request)(request.scope, receive)
