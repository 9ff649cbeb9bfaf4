"""Rate limits, counted in the database so that all replicas of the gateway share them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from time import time

from flexstore.store import Connection, Store

from api_gateway.responses import ApiError

COUNT = """
insert into rate_limit as r (key, window_start, hits) values ($1, to_timestamp($2), 1)
on conflict (key) do update
set hits = case when r.window_start = excluded.window_start then r.hits + 1 else 1 end,
    window_start = excluded.window_start
returning hits
"""
PEEK = "select hits from rate_limit where key = $1 and window_start = to_timestamp($2)"
UNCOUNT = "update rate_limit set hits = hits - 1 where key = $1 and window_start = to_timestamp($2) and hits > 0"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A number of requests per window. Zero means no limit."""

    hits: int
    window: timedelta
    description: str
    """The limit in error messages: `60 per 1 minute`."""

    @property
    def window_start(self) -> float:
        """The start of the current window, in seconds since 1970."""
        length = self.window.total_seconds()
        return time() // length * length


def per_minute(hits: int) -> RateLimit:
    """Return a limit per minute."""
    return RateLimit(hits, timedelta(minutes=1), f"{hits} per 1 minute")


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """The requests that were counted in a window."""

    limit: RateLimit
    hits: int
    window_start: float

    @property
    def reset(self) -> float:
        """The end of the window, in seconds since 1970."""
        return self.window_start + self.limit.window.total_seconds()

    @property
    def exceeded(self) -> bool:
        return self.hits > self.limit.hits

    @property
    def headers(self) -> dict[str, str]:
        """The response headers that describe the limit."""
        if not self.limit.hits:
            return {}
        return {
            "X-RateLimit-Limit": str(self.limit.hits),
            "X-RateLimit-Remaining": str(max(0, self.limit.hits - self.hits)),
            "X-RateLimit-Reset": str(ceil(self.reset)),
            "Retry-After": str(max(1, ceil(self.reset - time()))),
        }

    def enforce(self) -> None:
        """Raise `ApiError` (429) if the limit is exceeded."""
        if self.limit.hits and self.exceeded:
            message = f"You hit a rate limit. The limit you hit allows {self.limit.description}."
            body = {"message": message, "result": "Rejected", "status": "TOO_MANY_REQUESTS"}
            raise ApiError(429, body, self.headers)


class RateLimiter:
    """Counts requests in fixed windows, on connections of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def count(self, key: str, limit: RateLimit) -> RateLimitStatus:
        """Count one request, unless the limit is zero."""
        if not limit.hits:
            return RateLimitStatus(limit, 0, limit.window_start)
        async with self.store.connection() as con:
            return await count(con, key, limit)

    async def count_trigger(self, account_id: int, triggers_per_minute: int) -> RateLimitStatus:
        """Count a trigger of a schedule or a forecast. Raises `ApiError` (429) beyond the limit of the account."""
        status = await self.count(f"trigger:{account_id}", per_minute(triggers_per_minute))
        status.enforce()
        return status

    async def check(self, limits: Mapping[str, RateLimit]) -> None:
        """Raise `ApiError` (429) if one more request would exceed a limit, without counting it."""
        async with self.store.connection() as con:
            for key, limit in limits.items():
                start = limit.window_start
                hits = await con.fetchval(PEEK, key, start) or 0
                RateLimitStatus(limit, hits + 1, start).enforce()

    async def uncount(self, key: str, status: RateLimitStatus) -> None:
        """Take back a request that was counted."""
        if status.limit.hits:
            async with self.store.connection() as con:
                await con.execute(UNCOUNT, key, status.window_start)


async def count(con: Connection, key: str, limit: RateLimit) -> RateLimitStatus:
    """Count one request on a given connection."""
    start = limit.window_start
    return RateLimitStatus(limit, await con.fetchval(COUNT, key, start), start)
