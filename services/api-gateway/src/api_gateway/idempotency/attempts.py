"""Attempts to carry out a request under an `Idempotency-Key`: begun, sealed with its changes, and completed.

The seal is set in the transaction in which the request changes something. It tells whether a request without a
response, because its process died, was carried out.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from flexmodel.errors import Conflict
from flexstore.store import Connection

TIMEOUT_SECONDS = 30
"""After this time a request that is neither completed nor sealed may begin anew. If its process still lives, the seal
keeps it from changing anything."""
SEALED = 409
"""The status of a request that was carried out and has no response yet; also the response if there never is one."""
BEGIN = f"""
insert into idempotency_key as k (user_id, key, request_hash) values ($1, $2, $3)
on conflict (user_id, key) do update
    set request_hash = excluded.request_hash, created_at = now(), status = null, body = null, location = null
    where k.created_at < now() - interval '1 day'
        or (k.status is null and k.created_at < now() - interval '{TIMEOUT_SECONDS} seconds')
returning created_at
"""  # noqa: S608 - put together from constants
"""Begin a request under its key, unless it has begun already."""
SEAL = """
update idempotency_key set status = $4 where user_id = $1 and key = $2 and created_at = $3 and status is null
returning true
"""
COMPLETE = """
update idempotency_key set status = $4, body = $5, location = $6, request_hash = $7
where user_id = $1 and key = $2 and created_at = $3
"""
UNDO = "delete from idempotency_key where user_id = $1 and key = $2 and created_at = $3 and status is null"


@dataclass(slots=True)
class Attempt:
    """An attempt to carry out a request. Its start distinguishes it from later attempts under the same key."""

    user_id: int
    key: str
    began: datetime
    sealed: bool = False

    async def seal(self, con: Connection) -> None:
        """Mark the request as carried out, in the transaction that does so.

        Raises:
            Conflict: Another attempt has sealed it.
        """
        if self.sealed:
            return
        self.sealed = await con.fetchval(SEAL, self.user_id, self.key, self.began, SEALED) is True
        if not self.sealed:
            raise Conflict("The same request was sent again meanwhile, and is carried out there.")

    async def complete(
        self, con: Connection, status: int, body: bytes, location: str | None, request_hash: bytes
    ) -> None:
        """Store the response for repetitions of the request."""
        await con.execute(COMPLETE, self.user_id, self.key, self.began, status, body, location, request_hash)

    async def undo(self, con: Connection) -> None:
        """Delete the attempt, so that the request may be tried again. A sealed attempt stays."""
        await con.execute(UNDO, self.user_id, self.key, self.began)


async def begin(con: Connection, user_id: int, key: str, request_hash: bytes) -> Attempt | None:
    """Begin an attempt, or return None if another one carries out the request or did."""
    began = await con.fetchval(BEGIN, user_id, key, request_hash)
    return None if began is None else Attempt(user_id, key, began)


CURRENT: ContextVar[Attempt | None] = ContextVar("attempt", default=None)
"""The attempt of the current request."""
