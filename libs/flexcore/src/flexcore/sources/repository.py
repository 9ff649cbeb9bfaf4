"""SQL about sources."""

from collections.abc import Sequence

from flexstore.rows import Row
from flexstore.store import Connection


class SourceRow(Row):
    """A data source."""

    id: int
    name: str
    type: str
    model: str | None
    version: str | None
    user_id: int | None
    account_id: int | None


async def load_visible(con: Connection, accounts: Sequence[int] | None, *, only_latest: bool) -> list[SourceRow]:
    """Return the sources of some accounts (None: of all) and of nobody, optionally only the latest version of each."""
    return await con.fetch(
        """select id, name, type, model, version, user_id, account_id
           from (select s.*, row_number() over (partition by name, type, model, user_id order by id desc) as newness
                 from source s
                 where s.account_id is null or $1::int[] is null or s.account_id = any($1)) as numbered
           where newness = 1 or not $2 order by id""",
        accounts, only_latest, record_class=SourceRow,
    )  # fmt: skip


async def find_existing(con: Connection, sources: Sequence[int], accounts: Sequence[int]) -> tuple[set[int], set[int]]:
    """Return those of the sources and those of the accounts that exist."""
    row = await con.fetchrow(
        """select array(select id from source where id = any($1::int[])),
                  array(select id from account where id = any($2::int[]))""",
        sources, accounts,
    )  # fmt: skip
    assert row is not None  # a query without a table always has a row
    return set(row[0]), set(row[1])
