"""Requests that can be repeated: a POST with an `Idempotency-Key` is carried out once, and answered alike for a day."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from starlette.responses import Response

from api_gateway.answers import Rejected, ShownOnce, conflict, unprocessable
from api_gateway.auth import repository as tokens
from api_gateway.auth.credentials import digest_of

HEADER = "Idempotency-Key"
LONGEST = 255
LOGINS = frozenset({"/api/requestAuthToken", "/api/v1/session"})
"""Logging in twice is two logins: what they answer is secret, and kept nowhere."""
BEGIN = """
insert into idempotency_key as k (user_id, key, request_hash) values ($1, $2, $3)
on conflict (user_id, key) do update
    set request_hash = excluded.request_hash, created_at = now(), status = null, body = null, location = null
    where k.created_at < now() - interval '1 day' or (k.status is null and k.created_at < now() - interval '5 minutes')
returning true
"""
"""Begin a request under its key, unless somebody has. Who began and never ended (a crash) counts for five minutes."""
FORGET = "delete from idempotency_key where created_at < now() - interval '1 day'"

Handle = Callable[[Request], Awaitable[Response]]


async def once(request: Request, handle: Handle) -> Response:
    """The answer to the request, or the one that was given to it before."""
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST" or request.url.path in LOGINS:
        return await handle(request)
    if not 0 < len(key) <= LONGEST:
        raise unprocessable({"headers": {HEADER: [f"Must have 1 to {LONGEST} characters."]}})
    store = request.app.state.gateway.store
    request_hash = await hash_of(request)
    async with store.connection() as con:
        user_id = await user_of(con, request)
        if user_id is None:
            return await handle(request)
        if not await con.fetchval(BEGIN, user_id, key, request_hash):
            return await before(con, user_id, key, request_hash)
    try:
        answer = await handle(request)
    except BaseException:
        await forget(store, user_id, key)
        raise
    if 200 <= answer.status_code < 300:
        async with store.connection() as con:
            await con.execute(
                "update idempotency_key set status = $3, body = $4, location = $5 where user_id = $1 and key = $2",
                user_id, key, answer.status_code, answer.kept if isinstance(answer, ShownOnce) else bytes(answer.body),
                answer.headers.get("location"),
            )  # fmt: skip
    else:
        await forget(store, user_id, key)
    return answer


async def hash_of(request: Request) -> bytes:
    """What was asked. Files are known by their size: they are too large to be looked at here, and clients put other
    words between their parts each time."""
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    is_form = request.headers.get("content-type", "").startswith("multipart/")
    body = request.headers.get("content-length", "").encode() if is_form else await request.body()
    return hashlib.sha256(asked + body).digest()


async def user_of(con: Any, request: Request) -> int | None:
    """Whose request it is; whether the token is good enough is decided later."""
    try:
        token_hash = digest_of(request)
    except Rejected:
        return None
    row = await tokens.identify(con, token_hash, request.app.state.gateway.settings.seen_every)
    return row["caller_id"] if row else None


async def before(con: Any, user_id: int, key: str, request_hash: bytes) -> Response:
    """What was answered to the request that came first with this key."""
    row = await con.fetchrow(
        "select request_hash, status, body, location from idempotency_key where user_id = $1 and key = $2", user_id, key
    )
    if row is None or (row["status"] is None and row["request_hash"] == request_hash):
        raise conflict("The same request is still being carried out. Please ask again in a moment.")
    if row["request_hash"] != request_hash:
        raise unprocessable({"headers": {HEADER: ["This key was used for another request. Choose a new one."]}})
    headers = {"Idempotent-Replayed": "true"} | ({"Location": row["location"]} if row["location"] else {})
    return Response(row["body"], row["status"], headers, media_type="application/json")


async def forget(store: Any, user_id: int, key: str) -> None:
    """The request was not carried out, so it may be tried again."""
    async with store.connection() as con:
        await con.execute("delete from idempotency_key where user_id = $1 and key = $2", user_id, key)
