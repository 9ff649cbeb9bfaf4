"""The graphs of an asset, and the sensors in them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flexstore.store import Connection

from api_gateway.charts import repository
from api_gateway.charts.repository import ChartAssetRow

MOST_BY_DEFAULT = 10
CONFIGURED = {"flex-context": "flex_context", "flex-model": "flex_model"}


@dataclass(frozen=True, slots=True)
class Graph:
    title: str | None
    sensors: tuple[int, ...]


async def graphs_of(con: Connection, asset: ChartAssetRow) -> list[Graph]:
    """Return the graphs configured for the asset, by default one for each of its sensors."""
    if not asset.sensors_to_show:
        own = await repository.own_sensors(con, asset.id, MOST_BY_DEFAULT)
        return [Graph(None, (sensor,)) for sensor in own]
    return [await graph(con, entry) for entry in asset.sensors_to_show]


async def graph(con: Connection, entry: object) -> Graph:
    """Return the graph of an entry: the id of a sensor, a list of ids, or an object with sensors or plots."""
    if isinstance(entry, dict):
        found = Graph(entry.get("title"), tuple(named(entry)))
        for plot in entry.get("plots", []):
            sensors = [*named(plot), *await configured(con, plot)]
            found = replace(found, sensors=(*found.sensors, *sensors))
        return found
    return Graph(None, tuple(ids(entry)))


def named(entry: object) -> Iterator[int]:
    """Yield the sensors under `sensor` and `sensors`."""
    if isinstance(entry, dict):
        yield from ids(entry.get("sensor"))
        yield from ids(entry.get("sensors"))


def ids(value: object) -> Iterator[int]:
    if isinstance(value, list):
        for item in value:
            yield from ids(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


async def configured(con: Connection, plot: object) -> list[int]:
    """Return the sensor to which a field of an asset's flex-model or flex-context refers, if any."""
    if not isinstance(plot, dict) or not isinstance(plot.get("asset"), int):
        return []
    asset = await repository.find_asset(con, plot["asset"])
    if asset is None:
        return []
    fields = [asset[column].get(plot.get(key)) for key, column in CONFIGURED.items()]
    return [sensor for field in fields if isinstance(field, dict) for sensor in ids(field.get("sensor"))]
