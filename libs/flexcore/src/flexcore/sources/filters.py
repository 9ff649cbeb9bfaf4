"""Checks that the sources and accounts in filters exist."""

from typing import Any

from flexmodel.errors import Invalid, NotFound
from flexmodel.references import SourceFilter, source_filters
from flexstore.store import Connection

from flexcore.fields import LARGEST_ID
from flexcore.sources.repository import find_existing


async def check_exist(con: Connection, source: int | None, account: int | None) -> None:
    """Refuse a source or an account that does not exist."""
    if source is None and account is None:
        return
    wanted = [[] if one is None else [one] for one in (source, account)]
    sources, accounts = await find_existing(con, *wanted)
    if source is not None and not sources:
        raise Invalid({"source": [f"No data source found with id {source}."]})
    if account is not None and not accounts:
        raise NotFound(f"Account {account} not found")


async def check_filters(con: Connection, config: object) -> None:
    """Refuse a trigger or a stored configuration that names a source or an account that does not exist."""
    named = list(source_filters(config))
    if not named:
        return
    sources, accounts = await find_existing(con, valid_ids(named, accounts=False), valid_ids(named, accounts=True))
    for one in named:
        if one.id not in (accounts if one.is_account else sources):
            kind = "account" if one.is_account else "data source"
            fields: Any = [f"No {kind} found with id {one.id}."]
            for key in reversed(one.path):
                fields = {key: fields}
            raise Invalid(fields)


def valid_ids(named: list[SourceFilter], *, accounts: bool) -> list[int]:
    return sorted({one.id for one in named if one.is_account is accounts and 0 < one.id <= LARGEST_ID})
