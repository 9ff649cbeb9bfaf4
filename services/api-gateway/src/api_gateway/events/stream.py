"""The event stream of one client: its waiting activities, its position, and its keep-alive comments."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import orjson
from flexstore.store import Connection
from flexwork import activity_log
from flexwork.activities import EVERYONE, ActivityType
from flexwork.activity_log import Activity, ActivityFilter

KEEP_ALIVE_SECONDS = 15.0
BOOKMARK_SECONDS = 300.0
"""After this time without an event, a client gets a bookmark with the current position, to keep its last id fresh."""
MAX_WAITING = 100
"""The most activities that wait for a slow client. Beyond that its stream loads them from the table again."""
RETRY = b"retry: 3000\n"
KEEP_ALIVE = b":\n"
"""A comment, sent after `KEEP_ALIVE_SECONDS` without an event. No blank line follows: some clients take it for one."""

OPEN, RESET, BOOKMARK = "stream.open", "stream.reset", "stream.bookmark"
TOO_OLD = "The events since then are no longer kept."
UNKNOWN = "There never was such an id."
NOT_RECORDED = "Stored data were not told of for a while."
"""The reasons why a stream cannot resume."""

type Connect = Callable[[], AbstractAsyncContextManager[Connection]]


@dataclass(slots=True, eq=False, weakref_slot=True)
class EventStream:
    """Activities come from the feed as they happen, and from the table where the client resumes.

    One that comes from both is sent once, because positions only grow.
    """

    account_id: int
    token_id: int
    wanted: ActivityFilter
    resumes_at: int | None = None
    """The position from which to resume; None: the stream is new."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _at: int = 0
    """The position up to which everything was sent."""
    _behind: bool = False
    """True if the next activities have to be loaded from the table."""
    _waiting: deque[Activity] = field(default_factory=deque)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _news: tuple[str, dict[str, Any]] | None = None
    """An event about the stream itself."""

    @property
    def follows(self) -> frozenset[int]:
        """The accounts whose stored data it has to send."""
        if self.wanted.types and ActivityType.DATA_STORED not in self.wanted.types:
            return frozenset()
        return frozenset((EVERYONE,) if self.wanted.accounts is None else self.wanted.accounts)

    def begin(self, now_at: int, lost: str | None) -> None:
        """Resume where the client was. Begin at `now_at` if the stream is new, or `lost` says why it cannot resume."""
        if self.resumes_at is not None and lost is None:
            self._at, self._behind = self.resumes_at, True
        elif lost is not None:
            self.lose(lost, now_at)
        else:
            self._skip_to(now_at, OPEN, {})

    def offer(self, event: Activity) -> None:
        """Add an activity that passes the filter."""
        if not self._behind:
            self._waiting.append(event)
            if len(self._waiting) > MAX_WAITING:
                self._waiting.clear()
                self._behind = True
        self._woken.set()

    def restrict(self, accounts: frozenset[int] | None) -> None:
        """Send only activities of these accounts from now on."""
        self.wanted = replace(self.wanted, accounts=accounts)

    def lose(self, reason: str, now_at: int) -> None:
        """Report that activities before this position may be missing."""
        self._skip_to(now_at, RESET, {"reason": reason})

    def _skip_to(self, position: int, news: str, data: dict[str, Any]) -> None:
        self._at, self._behind, self._news = max(self._at, position), False, (news, data)
        self._woken.set()

    def end(self) -> None:
        self.ended.set()
        self._woken.set()

    async def frames(self, connect: Connect, passed_on: Callable[[], int]) -> AsyncGenerator[bytes]:
        """Yield frames until the stream ends. `passed_on` returns the position of the feed."""
        told = monotonic()
        while not self.ended.is_set():
            self._woken.clear()
            async for frame in self._next(connect):
                told = monotonic()
                yield frame
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), KEEP_ALIVE_SECONDS)
            if self._woken.is_set():
                continue
            if monotonic() - told > BOOKMARK_SECONDS and passed_on() > self._at:
                self._at, told = passed_on(), monotonic()
                yield self._says(BOOKMARK, {})
            else:
                yield KEEP_ALIVE

    async def _next(self, connect: Connect) -> AsyncGenerator[bytes]:
        """Yield the frames that are ready."""
        while (self._news or self._behind or self._waiting) and not self.ended.is_set():
            if self._news is not None:
                news, self._news = self._news, None
                yield self._says(*news)
            elif self._behind:
                self._behind = False  # what happens from now on waits, unless that gets too much meanwhile
                async for event in self._missed(connect):
                    yield activity_frame(event)
            else:
                event = self._waiting.popleft()
                if event.position > self._at and event in self.wanted:
                    self._at = event.position
                    yield activity_frame(event)

    async def _missed(self, connect: Connect) -> AsyncGenerator[Activity]:
        """Load activities from the table until there are no more."""
        more = True
        while more and not self.ended.is_set():
            async with connect() as con:
                page = await activity_log.load(con, self._at, self.wanted, MAX_WAITING)
            for event in page:
                self._at = event.position
                yield event
            more = bool(page)

    def _says(self, type: str, data: dict[str, Any]) -> bytes:
        return encode_frame(self._at, type, {"type": type, "timestamp": datetime.now(UTC), "data": data})


def activity_frame(event: Activity) -> bytes:
    return encode_frame(event.position, event.type, event.body)


def encode_frame(id: int, type: str, body: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (id, type.encode(), orjson.dumps(body))
