"""An asset tree has what a schedule needs: relatives, their sensors, and sensors that are referred to."""

from datetime import timedelta

import pytest
from flexcore.assets.tree import load_tree
from flexmodel.errors import NotFound
from flexstore.store import Store
from sites import AddSensor, AddSite


async def test_the_tree_around_an_asset(store: Store, add_site: AddSite, add_sensor: AddSensor) -> None:
    account, site = await add_site("site")
    _, building = await add_site("building", site, account)
    _, battery = await add_site("battery", building, account)
    _, neighbour = await add_site("neighbour", site, account)
    market_account, market = await add_site("market")
    power = await add_sensor(battery, "power", "kW", "15 minutes")
    state = await add_sensor(battery, "state", "kWh", "0")
    of_the_site = await add_sensor(site, "site power")
    price = await add_sensor(market, "price", "EUR/MWh")
    asked_for = await add_sensor(neighbour, "load")
    async with store.connection() as con:
        await con.execute(
            "update asset set flex_context = $2 where id = $1", site, {"consumption-price": {"sensor": price}}
        )
        await con.execute(
            "update asset set flex_model = $2, attributes = $3 where id = $1", battery, {"soc-max": "9 kWh"}, {"a": 1}
        )
        tree = await load_tree(con, building, [asked_for, 10**6, -1, 2**40])

    assert set(tree.assets) == {site, building, battery}
    assert tree.asset.name == "building"
    assert [asset.name for asset in tree.ancestors(battery)] == ["building", "site"]
    assert [asset.name for asset in tree.descendants(building)] == ["battery"]
    stored = tree.assets[battery]
    assert (stored.parent_id, stored.account_id, stored.asset_type) == (building, account, "building")
    assert (stored.flex_model, stored.attributes, stored.flex_context) == ({"soc-max": "9 kWh"}, {"a": 1}, {})

    assert set(tree.sensors) == {power, state, price, asked_for}
    assert of_the_site not in tree.sensors
    assert tree.sensors[price].account_id == market_account
    assert tree.sensors[asked_for].asset_id == neighbour
    sensor = tree.sensors[power]
    assert (sensor.name, sensor.unit, sensor.resolution, sensor.timezone) == (
        "power",
        "kW",
        timedelta(minutes=15),
        "UTC",
    )
    assert tree.sensors[state].resolution == timedelta(0)
    assert tree.contains(power)
    assert not tree.contains(price)


async def test_a_public_asset_belongs_to_nobody(store: Store, add_sensor: AddSensor) -> None:
    async with store.connection() as con:
        asset = await con.fetchval("insert into asset (name, asset_type_id) values ('zone', 9) returning id")
        sensor = await add_sensor(asset)
        tree = await load_tree(con, asset)
    assert (tree.asset.account_id, tree.sensors[sensor].account_id) == (None, None)


async def test_an_asset_that_is_not_there(store: Store) -> None:
    async with store.connection() as con:
        with pytest.raises(NotFound, match="Asset 7 not found"):
            await load_tree(con, 7)


async def test_a_sibling_named_by_a_stored_commitment_is_loaded(
    store: Store, add_site: AddSite, add_sensor: AddSensor
) -> None:
    account, site = await add_site("site")
    _, battery = await add_site("battery", site, account)
    _, sibling = await add_site("sibling", site, account)
    power = await add_sensor(sibling, "power", "kW", "15 minutes")
    commitment = {"name": "contract", "baseline": "1 kW", "up-price": "3 EUR/MWh", "sensors": [power, 2**40]}
    async with store.connection() as con:
        await con.execute("update asset set flex_context = $2 where id = $1", site, {"commitments": [commitment]})
        tree = await load_tree(con, battery)
    assert set(tree.sensors) == {power}
