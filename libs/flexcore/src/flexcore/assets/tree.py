"""Loading an asset tree: an asset, its ancestors and descendants, and every sensor that matters to them."""

from collections.abc import Iterable

from flexmodel.errors import NotFound
from flexmodel.references import referenced_sensors
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

VALID_IDS = range(1, 2**31)
"""Ids that the database can hold."""


async def load_tree(con: Connection, asset_id: int, extra_sensors: Iterable[int] = ()) -> AssetTree:
    """Load the tree around an asset, with the sensors of the asset and its descendants and those they refer to.

    Args:
        con: The connection to load with.
        asset_id: The asset in question.
        extra_sensors: Sensors that a request refers to. Ids of sensors that do not exist are left out.

    Raises:
        NotFound: There is no such asset.
    """
    rows = await con.fetch(ASSETS, asset_id)
    if not rows:
        raise NotFound(f"Asset {asset_id} not found")
    assets = {row["id"]: TreeAsset(*row[:-1]) for row in rows}
    referenced = referenced_sensors([(asset.flex_model, asset.flex_context) for asset in assets.values()])
    wanted = sorted(id for id in referenced | set(extra_sensors) if id in VALID_IDS)
    below = [row["id"] for row in rows if row["below"]]
    sensors = await con.fetch(SENSORS, below, wanted)
    return AssetTree(asset_id, assets, {row["id"]: TreeSensor(*row) for row in sensors})
