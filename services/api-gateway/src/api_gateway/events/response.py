"""The response of `/api/v1/events`: server-sent events, until the client leaves or the stream ends."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi.sse import EventSourceResponse
from flexmodel.errors import Unavailable
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

SEND_TIMEOUT_SECONDS = 30.0
"""A client that accepts nothing for this long is cut off."""
CLOSING_SECONDS = 1.0
"""The time for a client to accept what is being sent when the stream ends."""


class EventStreamResponse(EventSourceResponse):
    """FastAPI's response, which also cuts off stuck clients and ends with its stream.

    It frees everything as soon as the client disconnects. The keep-alive comments are in `stream.py`.
    """

    def __init__(self, frames: AsyncGenerator[bytes], ended: asyncio.Event) -> None:
        super().__init__(frames, headers={"X-Accel-Buffering": "no"})  # proxies must not buffer events
        self.frames = frames
        self.ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self.stream_response(send))
        others = [asyncio.create_task(self.listen_for_disconnect(receive)), asyncio.create_task(self.ended.wait())]
        try:
            await asyncio.wait((sending, *others), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() and self.ended.is_set():
                await asyncio.wait((sending,), timeout=CLOSING_SECONDS)
        finally:
            for task in (sending, *others):
                task.cancel()
            await asyncio.gather(sending, *others, return_exceptions=True)
        if sending.cancelled():
            raise ClientDisconnect
        sending.result()

    async def stream_response(self, send: Send) -> None:
        """Send the frames, each within a time limit."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for frame in self.frames:
                async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
                    await send({"type": "http.response.body", "body": frame, "more_body": True})
        except TimeoutError as error:
            raise ClientDisconnect from error
        except Unavailable:
            pass  # the client connects again and resumes
        finally:
            await self.frames.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
