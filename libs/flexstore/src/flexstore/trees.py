"""Reading an asset tree: the asset, its ancestors and descendants, and every sensor that matters to them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flexmodel.errors import NotFound
from flexmodel.tree import AssetTree, TreeAsset, TreeSensor

from flexstore.store import Connection

ASSETS = """
with recursive up as (
    select id, parent_asset_id from asset where id = $1
    union
    select asset.id, asset.parent_asset_id from asset join up on asset.id = up.parent_asset_id
),
down as (
    select id from asset where id = $1
    union
    select asset.id from asset join down on asset.parent_asset_id = down.id
)
select asset.id, asset.name, asset.parent_asset_id, asset.account_id, asset_type.name as asset_type,
    asset.attributes, asset.flex_model, asset.flex_context, asset.id in (select id from down) as below
from asset join asset_type on asset_type.id = asset.asset_type_id
where asset.id in (select id from up union select id from down)
order by asset.id
"""

SENSORS = """
select sensor.id, sensor.name, sensor.asset_id, asset.account_id, sensor.unit, sensor.event_resolution,
    sensor.timezone, sensor.attributes
from sensor join asset on asset.id = sensor.asset_id
where sensor.asset_id = any($1::int[]) or sensor.id = any($2::int[])
order by sensor.id
"""


async def load(con: Connection, asset_id: int, extra_sensors: Iterable[int] = ()) -> AssetTree:
    """The tree around an asset, with the sensors of the asset and its descendants and those that are referred to.

    `extra_sensors` are those that a request refers to; ids of sensors that do not exist are left out.
    """
    rows = await con.fetch(ASSETS, asset_id)
    if not rows:
        raise NotFound(f"Asset {asset_id} not found")
    assets = {row["id"]: TreeAsset(*row[:-1]) for row in rows}
    wanted = {sensor for sensor in extra_sensors if _is_id(sensor)}
    for asset in assets.values():
        wanted.update(referenced_sensors(asset.flex_model), referenced_sensors(asset.flex_context))
    below = [row["id"] for row in rows if row["below"]]
    sensors = await con.fetch(SENSORS, below, sorted(wanted))
    return AssetTree(asset_id, assets, {row["id"]: TreeSensor(*row) for row in sensors})


def referenced_sensors(document: Any) -> Iterator[int]:
    """The ids in every `"sensor": 5`, `"…-sensor": 5` and `"…-sensors": [5, 6]`, however deep."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            if key == "sensor" or str(key).endswith(("-sensor", "-sensors")):
                yield from (item for item in (value if isinstance(value, list) else [value]) if _is_id(item))
            yield from referenced_sensors(value)
    elif isinstance(document, list):
        for item in document:
            yield from referenced_sensors(item)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31
