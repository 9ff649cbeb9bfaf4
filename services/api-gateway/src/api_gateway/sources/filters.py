"""Whether the sources and accounts that a configuration wants to hear exist."""

from typing import Any

from flexmodel.errors import Invalid
from flexmodel.references import Named, filters_in

from api_gateway.fields import LARGEST_ID
from api_gateway.sources.repository import known


async def check_filters(con: Any, config: Any) -> None:
    """Refuse a trigger or a stored configuration that names a source or an account that is not there."""
    named = list(filters_in(config))
    if not named:
        return
    sources, accounts = await known(con, ids_of(named, accounts=False), ids_of(named, accounts=True))
    for one in named:
        if one.id not in (accounts if one.is_account else sources):
            kind = "account" if one.is_account else "data source"
            fields: Any = [f"No {kind} found with id {one.id}."]
            for key in reversed(one.place):
                fields = {key: fields}
            raise Invalid(fields)


def ids_of(named: list[Named], *, accounts: bool) -> list[int]:
    return sorted({one.id for one in named if one.is_account is accounts and 0 < one.id <= LARGEST_ID})
