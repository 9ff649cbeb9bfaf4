"""HEAD requests, as load balancers and monitors send them: answered by every GET route, without a body."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """Handle a HEAD request as a GET, and send the status and the headers of its response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        get_scope = {**scope, "method": "GET"}
        try:
            await self.app(get_scope, receive, _BodylessSend(send).send)
        finally:
            scope.update(get_scope | {"method": "HEAD"})  # the matched route, for the log and the metrics


class _BodylessSend:
    """Forwards the start of a response and ends it where its body would begin."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._ended = False

    async def send(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            await self._send(message)
        elif self._ended:
            raise ClientDisconnect  # a streamed response, of which nobody reads more
        else:
            self._ended = True
            await self._send({"type": "http.response.body", "body": b""})
