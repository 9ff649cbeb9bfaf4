"""Whether the configuration of an asset makes sense: its flex-model, its flex-context and its graphs."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flexmodel.errors import Forbidden, Invalid
from flexmodel.flex_context import FlexContext, shared_currency
from flexmodel.flex_model import FlexModelEntry
from flexmodel.reading import Reader, Refused
from flexmodel.references import sensors_in
from flexmodel.tree import AssetTree, TreeSensor
from flexstore import trees

from api_gateway.accounts import repository as accounts
from api_gateway.audit.service import Actor
from api_gateway.fields import LARGEST_ID
from api_gateway.sensors.service import check_feedable

OUTPUTS = frozenset(
    {"consumption", "production", "state-of-charge", "aggregate-power", "aggregate-consumption", "aggregate-production"}
)
GRAPHS = ("sensors_to_show", "sensors_to_show_as_kpis")


async def check(con: Any, actor: Actor | None, values: Mapping[str, Any]) -> None:
    """Whether all it refers to is there and may be read, and every field holds what it should."""
    graphs = {field: set(sensors_shown(values[field])) for field in GRAPHS if values.get(field)}
    configured = [values.get("flex_model"), values.get("flex_context")]
    wanted = sensors_in(configured).union(*graphs.values())
    if not (any(configured) or wanted):
        return
    tree = AssetTree(0, {}, await known(con, wanted))
    await check_readable(con, actor, tree)
    if actor is not None:
        await check_feedable(con, actor, sorted(set(outputs_in(configured))))
    for graph, ids in graphs.items():
        missing = sorted(ids - tree.sensors.keys())
        if missing:
            raise Invalid({graph: [f"No sensor found with ID {missing[0]}."]})
    reader = Reader(tree, stored=True)
    if values.get("flex_model"):
        read(lambda: FlexModelEntry.read(values["flex_model"], reader))
    if values.get("flex_context"):
        currency, field = shared_currency(values["flex_context"], reader)
        context_reader = Reader(tree, currency=currency, currency_field=field, stored=True)
        read(lambda: FlexContext.read(values["flex_context"], context_reader))


def read(reading: Callable[[], Any]) -> None:
    try:
        reading()
    except Refused as refused:
        problem = refused.problem
        raise Invalid(problem if isinstance(problem, dict) else {"_schema": problem}) from refused


async def known(con: Any, sensor_ids: set[int]) -> dict[int, TreeSensor]:
    """Those of the sensors that exist."""
    possible = sorted(sensor for sensor in sensor_ids if 0 < sensor <= LARGEST_ID)
    rows = await con.fetch(trees.SENSORS, [], possible) if possible else []
    return {row["id"]: TreeSensor(*row) for row in rows}


async def check_readable(con: Any, actor: Actor | None, tree: AssetTree) -> None:
    visible = None if actor is None else await accounts.visible(con, actor)
    for sensor in tree.sensors.values():
        if visible is not None and sensor.account_id is not None and sensor.account_id not in visible:
            raise Forbidden(f"You may not read sensor {sensor.id}.")


def outputs_in(config: Any) -> Iterator[int]:
    """The sensors on which schedules made with this configuration will be stored."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            if key in OUTPUTS and isinstance(value, Mapping):
                yield from sensors_in(value)
            yield from outputs_in(value)
    elif isinstance(config, list):
        for item in config:
            yield from outputs_in(item)


def sensors_shown(graphs: Any) -> Iterator[int]:
    """The sensors in a list of graphs: bare ids, lists of ids, and `sensor` or `sensors` however deep."""
    yield from sensors_in(graphs)
    if isinstance(graphs, list):
        for item in graphs:
            if isinstance(item, int) and not isinstance(item, bool):
                yield item
            elif isinstance(item, list):
                yield from sensors_shown(item)
