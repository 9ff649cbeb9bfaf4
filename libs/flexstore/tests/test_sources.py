"""Sources are there once, whoever asks first, and their versions are put in order by number."""

import asyncio
from typing import Any

import pytest
from flexstore import audit_log, sources
from flexstore.store import Store
from sites import AddSite


async def test_a_source_is_added_once_by_any_number_of_processes(store: Store) -> None:
    async def ensure(number: int) -> int:
        async with store.connection() as con:
            return await sources.ensure(con, f"Solver {number % 3}", "scheduler", "Storage", version="9")

    ids = await asyncio.gather(*(ensure(number) for number in range(30)))
    assert len(set(ids)) == 3
    async with store.connection() as con:
        assert await con.fetchval("select count(*) from source") == 3


async def test_what_differs_in_anything_is_another_source(store: Store, add_site: AddSite) -> None:
    variants: list[dict[str, Any]] = [{}, {"type": "user"}, {"model": "m"}, {"version": "1"}, {"user_id": 1}]
    account, _ = await add_site()
    async with store.connection() as con:
        await con.execute(
            "insert into users (account_id, email, username, password_hash) values ($1, 'a@b.c', 'a', '')", account
        )
        ids = [await sources.ensure(con, **({"name": "x", "type": "t"} | variant)) for variant in variants]
        again = [await sources.ensure(con, **({"name": "x", "type": "t"} | variant)) for variant in variants]
        theirs = await sources.ensure(con, "x", "t", account_id=account)
    assert ids == again == sorted(set(ids))
    assert theirs == ids[0]


@pytest.mark.parametrize(
    ("version", "order"),
    [(None, []), ("9", [9]), ("v10", [10]), ("1.0.2rc1", [1, 0, 2, 1]), ("beta", []), ("9" * 30, [2**63 - 1])],
)
async def test_versions_have_an_order(store: Store, version: str | None, order: list[int]) -> None:
    async with store.connection() as con:
        number = await sources.ensure(con, "x", "t", version=version)
        assert await con.fetchval("select version_order from source where id = $1", number) == order


async def test_the_audit_log_keeps_who_did_what(store: Store) -> None:
    async with store.connection() as con:
        await audit_log.record(
            con, "Created asset", active_user_id=3, active_user_name="ada", asset_id=5, details={"a": 1}
        )
        [row] = [dict(found) for found in await con.fetch("select * from audit_log, now()")]
    assert row.pop("event_datetime") <= row.pop("now")
    assert {key: value for key, value in row.items() if value is not None} == {
        "id": 1, "event": "Created asset", "active_user_id": 3, "active_user_name": "ada", "asset_id": 5,
        "details": {"a": 1},
    }  # fmt: skip
