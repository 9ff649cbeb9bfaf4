"""HEAD: whatever can be got can be asked for without its content, as load balancers and monitors do."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """Answers HEAD as it would GET, and sends what comes before the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        try:
            await self.app(as_get, receive, _BodylessSend(send).send)
        finally:
            scope.update(as_get | {"method": "HEAD"})  # which route it was, for the log and the metrics


class _BodylessSend:
    """The beginning of an answer, which ends where its body would begin."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ended = False

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
        elif self._ended:
            raise ClientDisconnect  # an answer without an end, of which nobody will read more
        else:
            self._ended = True
            await self._send({"type": "http.response.body", "body": b""})
