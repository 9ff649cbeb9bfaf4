"""A connector with all that it needs to run: its kind, its settings with their secrets, and its sensors."""

from collections.abc import Mapping
from dataclasses import dataclass

from flexmodel.errors import Forbidden
from flexstore.store import Store

from ingest.connectors import configuration, repository
from ingest.connectors.fetched import NotFetched
from ingest.connectors.kinds import AnyKind, Place, Settings
from ingest.connectors.registry import kind_of
from ingest.connectors.repository import Connector
from ingest.data.repository import Sensor


@dataclass(frozen=True, slots=True)
class Equipped:
    row: Connector
    kind: AnyKind
    settings: Settings
    sensors: Mapping[str, Sensor]
    places: Mapping[str, Place]


async def equip(store: Store, connector: Connector) -> Equipped:
    kind = kind_of(connector.kind)
    settings = configuration.read(kind, {**connector.config, **connector.secrets})
    async with store.connection() as con:
        sensors = await repository.sensors_of(con, connector.id)
        places = await repository.places_of(con, connector.id)
    if not sensors:
        raise NotFetched("It fills no sensor: edit it, or delete it.")
    for sensor in sensors.values():
        check_owner(sensor, connector.account_id)
    return Equipped(connector, kind, settings, sensors, places)


def check_owner(sensor: Sensor, account: int | None) -> None:
    """A connector fills sensors of its own account only, and one of no account those of public assets."""
    if sensor.account == account:
        return
    fills = "public assets, for it has no account" if account is None else f"its own account {account}"
    raise Forbidden(f"This connector only fills sensors of {fills}; sensor {sensor.id} is none of them.")
