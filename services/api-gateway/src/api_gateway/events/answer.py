"""An answer without an end: sent bit by bit until the client leaves or there is nothing more to say."""

import asyncio
from collections.abc import AsyncGenerator

from flexmodel.errors import Unavailable
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STUCK_SECONDS = 30.0
"""A client that takes nothing for so long is gone."""
LAST_WORDS_SECONDS = 1.0
"""How long a client may take for what is on its way when the stream ends."""


class EventAnswer(Response):
    """`text/event-stream`. Everything that it holds is freed when the client disconnects, at once."""

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes], ended: asyncio.Event) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})  # proxies should pass it on bit by bit
        del self.headers["content-length"]
        self.frames = frames
        self.ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        talking = asyncio.create_task(self._talk(send))
        others = [asyncio.create_task(left(receive)), asyncio.create_task(self.ended.wait())]
        try:
            await asyncio.wait((talking, *others), return_when=asyncio.FIRST_COMPLETED)
            if not talking.done() and self.ended.is_set():
                await asyncio.wait((talking,), timeout=LAST_WORDS_SECONDS)
        finally:
            for task in (talking, *others):
                task.cancel()
            await asyncio.gather(talking, *others, return_exceptions=True)
        if talking.cancelled():
            raise ClientDisconnect
        talking.result()

    async def _talk(self, send: Send) -> None:
        try:
            async for frame in self.frames:
                async with asyncio.timeout(STUCK_SECONDS):
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
        except TimeoutError as error:
            raise ClientDisconnect from error
        except Unavailable:
            pass  # the client connects again, and goes on where it was
        finally:
            await self.frames.aclose()
        await send({"type": "http.response.body", "body": b""})


async def left(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
