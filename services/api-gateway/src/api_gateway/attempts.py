"""Requests that are being carried out under an `Idempotency-Key`: begun once, sealed with what they change, answered.

The seal is set in the transaction in which a request changes something. So who finds a request that has begun and was
never answered, because its process died, can tell whether it has been carried out.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flexmodel.errors import Conflict

TAKES_AT_MOST = 30
"""Seconds after which a request that is neither answered nor sealed may be begun anew. Should its process still live,
the seal keeps it from changing anything."""
SEALED = 409
"""The status of what was carried out and is not answered yet: what is left to answer when that never happens."""
BEGIN = f"""
insert into idempotency_key as k (user_id, key, request_hash) values ($1, $2, $3)
on conflict (user_id, key) do update
    set request_hash = excluded.request_hash, created_at = now(), status = null, body = null, location = null
    where k.created_at < now() - interval '1 day'
        or (k.status is null and k.created_at < now() - interval '{TAKES_AT_MOST} seconds')
returning created_at
"""  # noqa: S608 - put together from constants
"""Begin a request under its key, unless somebody has."""
SEAL = """
update idempotency_key set status = $4 where user_id = $1 and key = $2 and created_at = $3 and status is null
returning true
"""
KEEP = """
update idempotency_key set status = $4, body = $5, location = $6, request_hash = $7
where user_id = $1 and key = $2 and created_at = $3
"""
UNDO = "delete from idempotency_key where user_id = $1 and key = $2 and created_at = $3 and status is null"
FORGET = "delete from idempotency_key where created_at < now() - interval '1 day'"


@dataclass(slots=True)
class Attempt:
    """One of possibly several that carry out a request; the moment when it began tells it from others."""

    user_id: int
    key: str
    began: datetime
    sealed: bool = False

    async def seal(self, con: Any) -> None:
        """Say that the request is carried out if this transaction is committed. Raises if another attempt did so."""
        if self.sealed:
            return
        self.sealed = await con.fetchval(SEAL, self.user_id, self.key, self.began, SEALED) is True
        if not self.sealed:
            raise Conflict("The same request was sent again meanwhile, and is carried out there.")

    async def keep(self, con: Any, status: int, body: bytes, location: str | None, request_hash: bytes) -> None:
        """Keep the answer for who repeats the request."""
        await con.execute(KEEP, self.user_id, self.key, self.began, status, body, location, request_hash)

    async def undo(self, con: Any) -> None:
        """The request was not carried out, so it may be tried again. What was sealed stays so."""
        await con.execute(UNDO, self.user_id, self.key, self.began)


async def begin(con: Any, user_id: int, key: str, request_hash: bytes) -> Attempt | None:
    """The attempt that may carry out the request; none if another one does or did."""
    began = await con.fetchval(BEGIN, user_id, key, request_hash)
    return None if began is None else Attempt(user_id, key, began)


CURRENT: ContextVar[Attempt | None] = ContextVar("attempt", default=None)
"""The attempt that the running request belongs to."""
