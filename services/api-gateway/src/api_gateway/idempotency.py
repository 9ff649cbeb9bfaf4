"""Requests that can be repeated: a POST with an `Idempotency-Key` is carried out once, and answered alike for a day."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import Request
from flexcore.credentials import repository as tokens
from flexmodel.errors import Unavailable
from starlette.responses import Response

from api_gateway import attempts
from api_gateway.asked import Asked, asked_in
from api_gateway.attempts import SEALED, TAKES_AT_MOST, Attempt
from api_gateway.auth.access import identity_of
from api_gateway.auth.credentials import digest_of
from api_gateway.responses import Rejected, ShownOnce, conflict, unprocessable

HEADER = "Idempotency-Key"
LONGEST = 255
LOGINS = frozenset({"/api/requestAuthToken", "/api/v1/session"})
"""Logging in twice is two logins: what they answer is secret, and kept nowhere."""
BEFORE = f"""
select request_hash, status, body, location, created_at < now() - interval '{TAKES_AT_MOST} seconds' as long_ago
from idempotency_key where user_id = $1 and key = $2
"""  # noqa: S608 - put together from constants

Handle = Callable[[Request], Awaitable[Response]]


async def once(request: Request, handle: Handle) -> Response:
    """The answer to the request, or the one that was given to it before."""
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST" or request.url.path in LOGINS:
        return await handle(request)
    if not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        raise unprocessable({"headers": {HEADER: [f"Must have 1 to {LONGEST} printable ASCII characters."]}})
    store = request.app.state.gateway.store
    async with store.connection() as con:
        caller = await caller_of(con, request)
    if caller is None:
        return await handle(request)
    asked = await asked_in(request, caller)
    async with store.connection() as con:
        attempt = await attempts.begin(con, caller["caller_id"], key, asked.known)
        if attempt is None:
            await identity_of(con, caller)  # repeating counts against the limit of the caller's key like asking does
            row = await con.fetchrow(BEFORE, caller["caller_id"], key)
    if attempt is None:
        return await before(row, asked)
    return await answered(store, attempt, asked, handle)


async def answered(store: Any, attempt: Attempt, asked: Asked, handle: Handle) -> Response:
    """Carry out the request, and keep what is answered if that is good news."""
    current = attempts.CURRENT.set(attempt)
    try:
        answer = await handle(asked.request)
    except BaseException:
        await undo(store, attempt)
        raise
    finally:
        attempts.CURRENT.reset(current)
    if not 200 <= answer.status_code < 300:
        await undo(store, attempt)
        return answer
    body = answer.kept if isinstance(answer, ShownOnce) else bytes(answer.body)
    with suppress(Unavailable):  # it is done, and who hears that has no need to ask again
        async with store.connection() as con:
            await attempt.keep(con, answer.status_code, body, answer.headers.get("location"), asked.in_full)
    return answer


async def caller_of(con: Any, request: Request) -> Any:
    """Whose request it is; whether the token is good enough is decided later."""
    try:
        token_hash = digest_of(request)
    except Rejected:
        return None
    return await tokens.identify(con, token_hash, request.app.state.gateway.settings.seen_every)


async def before(row: Any, asked: Asked) -> Response:
    """What was answered to the request that came first with this key."""
    if row is not None and not row["request_hash"].startswith(asked.known):
        raise another_request()
    if row is None or row["status"] is None or (row["status"] == SEALED and not row["long_ago"]):
        raise conflict("The same request is still being carried out. Please ask again in a moment.")
    if row["status"] == SEALED:
        # Not `conflict`, which says that asking again helps.
        message = "This request was carried out, but its answer was lost. See what is there, then use another key."
        raise Rejected(409, {"message": message, "result": "Rejected", "status": "CONFLICT"})
    if row["request_hash"] != await asked.to_the_end():
        raise another_request()
    headers = {"Idempotent-Replayed": "true"} | ({"Location": row["location"]} if row["location"] else {})
    return Response(row["body"], row["status"], headers, media_type="application/json")


def another_request() -> Rejected:
    return unprocessable({"headers": {HEADER: ["This key was used for another request. Choose a new one."]}})


async def undo(store: Any, attempt: Attempt) -> None:
    async with store.connection() as con:
        await attempt.undo(con)
