"""Lists of assets, sensors, users, accounts and logs: pages, sorting and searching, as existing clients expect them."""

from collections.abc import Awaitable, Callable

import pytest
from gateway_house import JsonObject, Person

type AddAssets = Callable[[int], Awaitable[int]]


@pytest.fixture
def add_assets(toy: Person) -> AddAssets:
    async def add(number: int) -> int:
        """Add assets, and a sensor on the first for each. Returns the id of the first."""
        first: int = 0
        for index in range(number):
            made = await toy.post("/assets", {"name": f"asset {index:02}", "generic_asset_type_id": 5})
            first = first or made["id"]
            sensor = {"unit": "kW", "event_resolution": "PT1H", "generic_asset_id": first}
            await toy.post("/sensors", sensor | {"name": f"sensor {index:02}"})
        return first

    return add


def names(listed: list[JsonObject]) -> list[str]:
    return [one["name"] for one in (listed if isinstance(listed, list) else listed["data"])]


async def test_lists_are_whole_until_a_page_is_asked_for(
    toy: Person, add_assets: AddAssets, subtests: pytest.Subtests
) -> None:
    await add_assets(12)
    for path in ("/assets", "/sensors"):
        with subtests.test(path):
            whole = await toy.get(path)
            assert len(whole) == 12
            assert await toy.get(path, per_page=2) == whole
            page = await toy.get(path, page=2)
            assert page == {"data": whole[10:], "num-records": 12, "filtered-records": 12, "status": 200}
            assert (await toy.get(path, **{"page": 3, "per-page": 5}))["data"] == whole[10:]


async def test_what_belongs_to_one_asset_always_comes_in_pages(toy: Person, add_assets: AddAssets) -> None:
    asset = await add_assets(12)
    page = await toy.get(f"/assets/{asset}/sensors")
    assert (len(page["data"]), page["num-records"]) == (10, 12)
    assert len((await toy.get(f"/assets/{asset}/sensors", page=2))["data"]) == 2
    log = await toy.get(f"/assets/{asset}/auditlog")
    assert (len(log["data"]), log["num-records"]) == (10, 13)


async def test_there_is_an_end_to_pages(toy: Person, add_assets: AddAssets, subtests: pytest.Subtests) -> None:
    asset = await add_assets(1)
    lists = ["/assets", "/sensors", "/users", "/accounts", f"/assets/{asset}/sensors", f"/assets/{asset}/auditlog"]
    for path in [*lists, f"/users/{toy.user_id}/auditlog"]:
        with subtests.test(path):
            assert "no page 9" in (await toy.get(path, 404, page=9))["message"]
    # The first page is there even when there is nothing on it.
    assert (await toy.get("/assets", page=1, filter="nothing"))["data"] == []


async def test_words_are_found_where_people_look(toy: Person, add_assets: AddAssets) -> None:
    await add_assets(3)
    for words, found in (("01", 1), ("asset 02", 1), ('"asset 02"', 1), ('"02 asset"', 0), ("asset", 3)):
        page = await toy.get("/assets", page=1, filter=words)
        assert (len(page["data"]), page["filtered-records"], page["num-records"]) == (found, found, 3), words
    # The search covers owners as well: all sensors are on the first asset, and all is in one account.
    for words, found in (("sensor 02", 1), ('"asset 00"', 3), ("asset 01", 1), ('"asset 01"', 0)):
        assert len((await toy.get("/sensors", page=1, filter=words))["data"]) == found, words
    assert len((await toy.get("/assets", page=1, filter="toy account"))["data"]) == 3
    assert len((await toy.get("/sensors", page=1, filter="toy account"))["data"]) == 3
    assert len((await toy.get("/users", page=1, filter='"Toy Account" toy-user'))["data"]) == 1


async def test_lists_are_sorted_as_asked(toy: Person, add_assets: AddAssets) -> None:
    asset = await add_assets(3)
    down = {"sort_by": "name", "sort_dir": "desc"}
    assert names(await toy.get("/assets", **down)) == ["asset 02", "asset 01", "asset 00"]
    assert names(await toy.get("/sensors", **{"sort-by": "name", "sort-dir": "desc"}))[0] == "sensor 02"
    assert names(await toy.get(f"/assets/{asset}/sensors", page=1, **down))[0] == "sensor 02"
    log = await toy.get(f"/assets/{asset}/auditlog", sort_by="event_datetime", sort_dir="desc")
    assert "sensor 02" in log["data"][0]["event"]
