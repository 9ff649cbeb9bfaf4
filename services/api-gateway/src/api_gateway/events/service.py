"""Opening event streams: authorisation, the position to resume from, and the rights of clients while they listen."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from datetime import timedelta

from flexcore.credentials.repository import IDENTIFY, CallerRow
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import Scope, in_scope
from flexcore.permissions.resources import visible_accounts
from flexmodel.digits import parse_digits
from flexmodel.errors import Invalid
from flexstore.store import Connection, Store
from flexwork import activity_log
from flexwork.activity_log import ActivityFilter, RetainedRange

from api_gateway.auth.access import to_identity
from api_gateway.events.feed import ActivityFeed, Reach
from api_gateway.events.schemas import EventQuery
from api_gateway.events.stream import KEEP_ALIVE, NOT_RECORDED, RETRY, TOO_OLD, UNKNOWN, EventStream
from api_gateway.gateway import Gateway
from api_gateway.responses import ApiError

IDENTIFY_ALL = IDENTIFY.replace("t.token_hash = $1", "t.id = any($1::int[])")


async def open_stream(gateway: Gateway, caller: Identity, query: EventQuery, last_id: str | None) -> EventStream:
    """Open a stream for the caller. Raises `ApiError` (429) if the account has too many."""
    gateway.feed.check_open()
    async with gateway.store.connection() as con:
        visible = await visible_to(con, caller)
    assert caller.token_id is not None
    wanted = ActivityFilter(visible, query.type, query.asset, query.sensor, [str(job) for job in query.job])
    stream = EventStream(caller.account_id, caller.token_id, wanted, parse_position(last_id) if last_id else None)
    most = gateway.settings.event_streams_per_account
    if most and gateway.feed.streams_of(caller.account_id) >= most:
        message = f"Your account has {most} event streams open already. Close one, or listen to more with each."
        raise ApiError(429, {"message": message, "status": "TOO_MANY_REQUESTS"}, {"Retry-After": "15"})
    gateway.feed.expect(stream)
    return stream


async def visible_to(con: Connection, caller: Identity) -> frozenset[int] | None:
    found = await visible_accounts(con, caller)
    return None if found is None else frozenset(found)


def parse_position(last_id: str) -> int:
    position = parse_digits(last_id)
    if position is None:
        raise Invalid({"last-event-id": [f"'{last_id}' is not the id of an event."]})
    return position


async def stream_frames(stream: EventStream, feed: ActivityFeed) -> AsyncGenerator[bytes]:
    """Yield all frames for the client."""
    async with feed.joined(stream):
        yield RETRY + KEEP_ALIVE
        interest = await feed.follow(stream.follows)
        await asyncio.sleep(interest.seconds)
        async with feed.connection() as con:
            await activity_log.assign_positions(con)  # nobody does while nobody listens
            kept = await activity_log.retained_range(con)
        stream.begin(max(interest.since, kept.last), reset_reason(stream, interest.since, kept))
        async for frame in stream.frames(feed.connection, lambda: feed.position):
            yield frame


def reset_reason(stream: EventStream, since: int, kept: RetainedRange) -> str | None:
    """Return why the stream cannot resume, or None if it can."""
    if stream.resumes_at is None:
        return None
    if stream.resumes_at > kept.last:
        return UNKNOWN
    if kept.first is not None and stream.resumes_at < kept.first - 1:
        return TOO_OLD
    return NOT_RECORDED if stream.resumes_at < since else None


def reach_of_tokens(store: Store) -> Reach:
    """Return a function that loads the accounts each token may read, for repeated checks of open streams."""

    async def reach(tokens: Collection[int]) -> dict[int, frozenset[int] | None]:
        found = {}
        async with store.connection() as con:
            for row in await con.fetch(IDENTIFY_ALL, list(tokens), timedelta(), record_class=CallerRow):
                # Neither noted as seen nor counted: sessions end while a forgotten page listens.
                caller = to_identity(row)
                if in_scope(caller, Scope.READ):
                    found[row.token_id] = await visible_to(con, caller)
        return found

    return reach
