"""Data sources: who or what believes."""

import re

from flexstore.store import Connection

LARGEST = 2**63 - 1

FIND = """
select id from source
where name = $1 and type = $2 and model is not distinct from $3 and version is not distinct from $4
    and user_id is not distinct from $5
"""
ADD = """
insert into source (name, type, model, version, user_id, account_id, version_order)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict on constraint source_key do nothing
returning id
"""


async def ensure(
    con: Connection,
    name: str,
    type: str,
    model: str | None = None,
    version: str | None = None,
    user_id: int | None = None,
    account_id: int | None = None,
) -> int:
    """The id of the source, which is added when it is not there yet. Any number of processes may do so at once."""
    key = (name, type, model, version, user_id)
    found: int | None = await con.fetchval(FIND, *key)
    if found is None:
        found = await con.fetchval(ADD, *key, account_id, version_order(version))
    if found is None:  # another process added it in between
        found = await con.fetchval(FIND, *key)
    assert found is not None
    return found


def version_order(version: str | None) -> list[int]:
    """The numbers in a version, by which versions are put in order."""
    return [min(int(number), LARGEST) for number in re.findall(r"[0-9]+", version or "")]
