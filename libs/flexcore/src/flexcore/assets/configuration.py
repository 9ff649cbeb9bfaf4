"""Validation of the configuration of an asset: its flex-model, its flex-context and its graphs."""

from collections.abc import Iterator, Mapping
from typing import Any

from flexmodel.errors import Forbidden, Invalid
from flexmodel.references import referenced_assets, referenced_sensors
from flexmodel.stored import check_flex_context, check_flex_model
from flexmodel.tree import AssetTree, TreeAsset, TreeSensor
from flexstore.store import Connection

from flexcore.assets.tree import SENSORS
from flexcore.audit.service import Actor
from flexcore.fields import LARGEST_ID
from flexcore.permissions.resources import check_feedable, visible_accounts
from flexcore.sources.filters import check_filters

OUTPUTS = frozenset(
    {"consumption", "production", "state-of-charge", "aggregate-power", "aggregate-consumption", "aggregate-production"}
)
GRAPHS = ("sensors_to_show", "sensors_to_show_as_kpis")
ASSETS = """
select asset.id, asset.name, parent_asset_id, account_id, asset_type.name, attributes, flex_model, flex_context
from asset join asset_type on asset_type.id = asset_type_id where asset.id = any($1)
"""


async def check(con: Connection, actor: Actor | None, values: Mapping[str, Any]) -> None:
    """Refuse wrong fields, and references to what does not exist or may not be read."""
    graphs = {field: values[field] for field in GRAPHS if values.get(field)}
    configured = [values.get("flex_model"), values.get("flex_context")]
    if not any((*configured, *graphs.values())):
        return
    wanted = referenced_sensors(configured).union(*map(displayed_sensors, graphs.values()))
    named = referenced_assets([*configured, *graphs.values()])
    tree = AssetTree(0, await load_assets(con, named), await load_sensors(con, wanted))
    await check_readable(con, actor, tree)
    if actor is not None:
        await check_feedable(con, actor, sorted(set(output_sensors(configured))))
    for field, shown in graphs.items():
        check_exist(field, "sensor", set(displayed_sensors(shown)) - tree.sensors.keys())
        check_exist(field, "asset", referenced_assets(shown) - tree.assets.keys())
    if values.get("flex_model"):
        check_flex_model(values["flex_model"], tree)
    if values.get("flex_context"):
        check_flex_context(values["flex_context"], tree)
    for config in configured:
        await check_filters(con, config)


def check_exist(field: str, kind: str, missing: set[int]) -> None:
    if missing:
        raise Invalid({field: [f"No {kind} found with ID {min(missing)}."]})


async def load_assets(con: Connection, asset_ids: set[int]) -> dict[int, TreeAsset]:
    """Load those of the assets that exist."""
    possible = sorted(asset for asset in asset_ids if 0 < asset <= LARGEST_ID)
    rows = await con.fetch(ASSETS, possible) if possible else []
    return {row[0]: TreeAsset(*row) for row in rows}


async def load_sensors(con: Connection, sensor_ids: set[int]) -> dict[int, TreeSensor]:
    """Load those of the sensors that exist."""
    possible = sorted(sensor for sensor in sensor_ids if 0 < sensor <= LARGEST_ID)
    rows = await con.fetch(SENSORS, [], possible) if possible else []
    return {row["id"]: TreeSensor(*row) for row in rows}


async def check_readable(con: Connection, actor: Actor | None, tree: AssetTree) -> None:
    visible = None if actor is None else await visible_accounts(con, actor)
    if visible is None:
        return
    for kind, things in (("sensor", tree.sensors.values()), ("asset", tree.assets.values())):
        for thing in things:
            if thing.account_id is not None and thing.account_id not in visible:
                raise Forbidden(f"You may not read {kind} {thing.id}.")


def output_sensors(config: object) -> Iterator[int]:
    """Yield the sensors on which schedules with this configuration will be stored."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            if key in OUTPUTS and isinstance(value, Mapping):
                yield from referenced_sensors(value)
            yield from output_sensors(value)
    elif isinstance(config, list):
        for item in config:
            yield from output_sensors(item)


def displayed_sensors(graphs: object) -> Iterator[int]:
    """Yield the sensors in a list of graphs: bare ids, lists of ids, and `sensor` or `sensors` at any depth."""
    yield from referenced_sensors(graphs)
    if isinstance(graphs, list):
        for item in graphs:
            if isinstance(item, int) and not isinstance(item, bool):
                yield item
            elif isinstance(item, list):
                yield from displayed_sensors(item)
