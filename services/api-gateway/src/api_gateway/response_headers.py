"""Headers of every response: versions, by which existing clients choose their requests, caching and framing."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_gateway.home.versions import API_VERSION, COMPATIBLE_VERSION, OWN_VERSION

ALWAYS = [
    (b"flexmeasures-version", COMPATIBLE_VERSION.encode()),
    (b"flexmesh-version", OWN_VERSION.encode()),
    (b"x-content-type-options", b"nosniff"),  # stored text is never run as a script, whatever it looks like
]
OF_PAGES = [(b"x-frame-options", b"SAMEORIGIN")]
OF_THE_API = [(b"api-version", API_VERSION.encode())]
UNLESS_SAID = [(b"cache-control", b"private, no-store"), (b"vary", b"Authorization, Cookie")]


class ResponseHeadersMiddleware:
    """Adds versions, keeps responses with data out of caches, and keeps pages out of frames of other sites."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *ALWAYS]
                if scope["path"].startswith("/api/"):
                    said = {name for name, _ in message["headers"]}
                    message["headers"] += OF_THE_API + [header for header in UNLESS_SAID if header[0] not in said]
                else:
                    message["headers"] += OF_PAGES
            await send(message)

        await self.app(scope, receive, send_with_headers)
