"""SQL about explanations."""

from typing import Any
from uuid import UUID

from flexstore.store import Connection


async def get(con: Connection, job_id: UUID) -> Any:
    """The explanation of the schedule that the job made, if it made one."""
    return await con.fetchval("select document from explanation where job_id = $1", job_id)
