"""The headers of every answer: by them existing clients decide what they may ask for."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_gateway.home.versions import API_VERSION, COMPATIBLE_VERSION, OWN_VERSION


class VersionHeaders:
    """Adds the versions, and keeps answers about someone's data out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["FlexMeasures-Version"] = COMPATIBLE_VERSION
                headers["Flexmesh-Version"] = OWN_VERSION
                if scope["path"].startswith("/api/"):
                    headers["API-Version"] = API_VERSION
                    headers.setdefault("Cache-Control", "private, no-store")
                    headers.setdefault("Vary", "Authorization, Cookie")
            await send(message)

        await self.app(scope, receive, send_with_headers)
