"""Idempotent requests: the first one is carried out, and repetitions get its response."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from fastapi import Request
from flexcore.credentials import repository as credentials
from flexcore.credentials.repository import CallerRow
from flexmodel.errors import Unavailable
from flexstore.rows import Row
from flexstore.store import Connection, Store
from starlette.responses import Response

from api_gateway.auth.access import identity_of
from api_gateway.auth.credentials import digest_of
from api_gateway.idempotency import attempts
from api_gateway.idempotency.attempts import SEALED, TIMEOUT_SECONDS, Attempt
from api_gateway.idempotency.fingerprint import RequestFingerprint, fingerprint_of
from api_gateway.responses import ApiError, SecretOnceResponse, conflict, unprocessable

HEADER = "Idempotency-Key"
MAX_KEY_LENGTH = 255
LOGIN_PATHS = frozenset({"/api/requestAuthToken", "/api/v1/session"})
"""Two requests to log in are two logins. Their responses are secret and are not stored."""
FIND = f"""
select request_hash, status, body, location, created_at < now() - interval '{TIMEOUT_SECONDS} seconds' as is_overdue
from idempotency_key where user_id = $1 and key = $2
"""  # noqa: S608 - put together from constants


class StoredRequestRow(Row):
    """The first request with a key, and its response when there is one."""

    request_hash: bytes
    status: int | None
    body: bytes | None
    location: str | None
    is_overdue: bool


RequestHandler = Callable[[Request], Awaitable[Response]]


async def handle_once(request: Request, handle: RequestHandler) -> Response:
    """Handle a request, or return the response to an earlier one with the same `Idempotency-Key`.

    Raises:
        ApiError: The key is invalid, belongs to another request, or its request is still being carried out.
    """
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST" or request.url.path in LOGIN_PATHS:
        return await handle(request)
    if not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
        raise unprocessable({"headers": {HEADER: [f"Must have 1 to {MAX_KEY_LENGTH} printable ASCII characters."]}})
    store: Store = request.app.state.gateway.store
    async with store.connection() as con:
        caller = await find_caller(con, request)
    if caller is None:
        return await handle(request)
    fingerprint = await fingerprint_of(request, caller.scopes, caller.only_account)
    async with store.connection() as con:
        attempt = await attempts.begin(con, caller.caller_id, key, fingerprint.known)
        if attempt is None:
            await identity_of(con, caller)  # a repetition counts against the rate limit of the API key too
            row = await con.fetchrow(FIND, caller.caller_id, key, record_class=StoredRequestRow)
    if attempt is None:
        return await stored_response(row, fingerprint)
    return await carry_out(store, attempt, fingerprint, handle)


async def carry_out(
    store: Store, attempt: Attempt, fingerprint: RequestFingerprint, handle: RequestHandler
) -> Response:
    """Handle the request, and store its response if it was successful."""
    current = attempts.CURRENT.set(attempt)
    try:
        response = await handle(fingerprint.request)
    except BaseException:
        await undo(store, attempt)
        raise
    finally:
        attempts.CURRENT.reset(current)
    if not 200 <= response.status_code < 300:
        await undo(store, attempt)
        return response
    body = response.stored_body if isinstance(response, SecretOnceResponse) else bytes(response.body)
    location = response.headers.get("location")
    with suppress(Unavailable):  # the request is done, and a client with a response has no need to repeat it
        async with store.connection() as con:
            await attempt.complete(con, response.status_code, body, location, fingerprint.current)
    return response


async def find_caller(con: Connection, request: Request) -> CallerRow | None:
    """Return the row of the request's token, or None. Whether the token suffices is decided later."""
    try:
        token_hash = digest_of(request)
    except ApiError:
        return None
    return await credentials.identify(con, token_hash, request.app.state.gateway.settings.seen_every)


async def stored_response(row: StoredRequestRow | None, fingerprint: RequestFingerprint) -> Response:
    """Return the response to the first request with this key."""
    if row is not None and not row.request_hash.startswith(fingerprint.known):
        raise key_of_another_request()
    if row is None or row.status is None or (row.status == SEALED and not row.is_overdue):
        raise conflict("The same request is still being carried out. Please ask again in a moment.")
    if row.status == SEALED:
        # Not `conflict`, which tells the client to repeat the request.
        message = "This request was carried out, but its answer was lost. See what is there, then use another key."
        raise ApiError(409, {"message": message, "result": "Rejected", "status": "CONFLICT"})
    if row.request_hash != await fingerprint.complete():
        raise key_of_another_request()
    headers = {"Idempotent-Replayed": "true"} | ({"Location": row.location} if row.location else {})
    return Response(row.body, row.status, headers, media_type="application/json")


def key_of_another_request() -> ApiError:
    """Return the error for a key that was used for another request."""
    return unprocessable({"headers": {HEADER: ["This key was used for another request. Choose a new one."]}})


async def undo(store: Store, attempt: Attempt) -> None:
    """Undo the attempt on a connection of its own."""
    async with store.connection() as con:
        await attempt.undo(con)
