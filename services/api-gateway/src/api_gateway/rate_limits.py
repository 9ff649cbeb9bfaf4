"""Rate limits, counted in the database so that all replicas of the gateway share them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from time import time
from typing import Any

from flexstore.store import Store

from api_gateway.responses import ApiError

COUNT = """
insert into rate_limit as r (key, window_start, hits) values ($1, to_timestamp($2), 1)
on conflict (key) do update
set hits = case when r.window_start = excluded.window_start then r.hits + 1 else 1 end,
    window_start = excluded.window_start
returning hits
"""
PEEK = "select hits from rate_limit where key = $1 and window_start = to_timestamp($2)"
FORGET_ONE = "update rate_limit set hits = hits - 1 where key = $1 and window_start = to_timestamp($2) and hits > 0"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many per window. Zero means no limit."""

    hits: int
    window: timedelta
    description: str
    """How the answer calls it: `60 per 1 minute`."""


def per_minute(hits: int) -> RateLimit:
    return RateLimit(hits, timedelta(minutes=1), f"{hits} per 1 minute")


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What is left in the window."""

    limit: RateLimit
    hits: int
    reset: float
    """When the window ends, in seconds since 1970."""

    @property
    def exceeded(self) -> bool:
        return self.hits > self.limit.hits

    @property
    def headers(self) -> dict[str, str]:
        if not self.limit.hits:
            return {}
        return {
            "X-RateLimit-Limit": str(self.limit.hits),
            "X-RateLimit-Remaining": str(max(0, self.limit.hits - self.hits)),
            "X-RateLimit-Reset": str(ceil(self.reset)),
            "Retry-After": str(max(1, ceil(self.reset - time()))),
        }

    def enforce(self) -> None:
        """Refuse the request when the limit is exceeded."""
        if self.limit.hits and self.exceeded:
            message = f"You hit a rate limit. The limit you hit allows {self.limit.description}."
            body = {"message": message, "result": "Rejected", "status": "TOO_MANY_REQUESTS"}
            raise ApiError(429, body, self.headers)


class RateLimiter:
    """Counts in fixed windows."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def count(self, key: str, limit: RateLimit) -> RateLimitStatus:
        """Count one request."""
        if not limit.hits:
            return RateLimitStatus(limit, 0, _window(limit) + limit.window.total_seconds())
        async with self.store.connection() as con:
            return await count(con, key, limit)

    async def check(self, limits: Mapping[str, RateLimit]) -> None:
        """Refuse a request that would be one too many, without counting it."""
        async with self.store.connection() as con:
            for key, limit in limits.items():
                start = _window(limit)
                hits = await con.fetchval(PEEK, key, start) or 0
                RateLimitStatus(limit, hits + 1, start + limit.window.total_seconds()).enforce()

    async def uncount(self, key: str, verdict: RateLimitStatus) -> None:
        """Take back one that was counted."""
        if verdict.limit.hits:
            async with self.store.connection() as con:
                await con.execute(FORGET_ONE, key, verdict.reset - verdict.limit.window.total_seconds())


async def count(con: Any, key: str, limit: RateLimit) -> RateLimitStatus:
    """Count one request on a connection that is at hand."""
    start = _window(limit)
    return RateLimitStatus(limit, await con.fetchval(COUNT, key, start), start + limit.window.total_seconds())


def _window(limit: RateLimit) -> float:
    """When the present window began."""
    length = limit.window.total_seconds()
    return time() // length * length
