"""Adding, editing, pausing and deleting connectors, with records in the audit log that contain no secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
from flexmodel.errors import Conflict, Invalid, NotFound
from flexmodel.time import format_duration
from flexstore import audit_log
from flexstore.store import Connection

from ingest.connectors import repository
from ingest.connectors.connector_kind import AnyConnectorKind, ConnectorSettings
from ingest.connectors.loaded_connector import check_owner, parse_settings, split_secrets
from ingest.connectors.registry import get_kind
from ingest.connectors.repository import Connector
from ingest.data.repository import Sensor, load_sensor
from ingest.data.units import accepts_unit

MIN_INTERVAL, MAX_INTERVAL = timedelta(minutes=1), timedelta(days=31)


@dataclass(frozen=True, slots=True)
class ConnectorChanges:
    """Changes to a connector. None leaves a value as it is, or takes the default in a new connector."""

    name: str | None = None
    settings: Mapping[str, object] | None = None
    """Settings of the kind, secret ones included. Others stay as they are."""
    sensors: Mapping[str, int] | None = None
    """All sensors that it fills, by series."""
    every: timedelta | None = None


async def add(con: Connection, kind_name: str, name: str, changes: ConnectorChanges) -> int:
    """Add a connector. Returns its id.

    Raises:
        Invalid: Its settings, sensors or interval are wrong.
        Conflict: The account has a connector of that name.
    """
    kind = get_kind(kind_name)
    settings = parse_settings(kind, changes.settings or {})
    sensors = await check_sensors(con, kind, settings, changes.sensors or {})
    account = next(iter(sensors.values())).account
    for sensor in sensors.values():
        check_owner(sensor, account)
    config, secrets = split_secrets(kind, settings)
    every = check_interval(changes.every or kind.interval)
    number = await save(con, repository.INSERT, account, kind.name, name, config, secrets, every)
    await repository.set_sensors(con, number, {series: sensor.id for series, sensor in sensors.items()})
    details = {"after": audit_details(config, every, sensors)}
    await audit_log.record(
        con, f"Added connector '{name}' ({kind.name}): {number}", account_id=account, details=details
    )
    return number


async def edit(con: Connection, number: int, changes: ConnectorChanges) -> None:
    """Change a connector. It is due at once."""
    connector = await load_existing(con, number)
    kind = get_kind(connector.kind)
    before = await repository.load_sensors(con, number)
    settings = parse_settings(kind, {**connector.config, **connector.secrets, **(changes.settings or {})})
    sensor_ids = (
        {series: sensor.id for series, sensor in before.items()} if changes.sensors is None else changes.sensors
    )
    sensors = await check_sensors(con, kind, settings, sensor_ids)
    for sensor in sensors.values():
        check_owner(sensor, connector.account_id)
    config, secrets = split_secrets(kind, settings)
    every = check_interval(changes.every or connector.every)
    name = changes.name or connector.name
    await save(con, repository.UPDATE, number, name, config, secrets, every)
    await repository.set_sensors(con, number, sensor_ids)
    details = {
        "before": audit_details(connector.config, connector.every, before),
        "after": audit_details(config, every, sensors),
    }
    await audit_log.record(
        con, f"Edited connector '{name}': {number}", account_id=connector.account_id, details=details
    )


async def set_enabled(con: Connection, number: int, *, on: bool) -> str:
    """Resume or pause a connector. Returns its name."""
    connector = await load_existing(con, number)
    await repository.set_enabled(con, number, on=on)
    message = f"{'Resumed' if on else 'Paused'} connector '{connector.name}': {number}"
    await audit_log.record(con, message, account_id=connector.account_id)
    return connector.name


async def delete(con: Connection, number: int) -> str:
    """Delete a connector, but not the values that it has fetched. Returns its name."""
    connector = await load_existing(con, number)
    await repository.delete(con, number)
    await audit_log.record(con, f"Deleted connector '{connector.name}': {number}", account_id=connector.account_id)
    return connector.name


async def load_existing(con: Connection, number: int) -> Connector:
    """Load a connector. Raises `NotFound` if there is none."""
    connector = await repository.load(con, number)
    if connector is None:
        raise NotFound(f"There is no connector with id {number}.")
    return connector


async def check_sensors(
    con: Connection, kind: AnyConnectorKind, settings: ConnectorSettings, sensor_ids: Mapping[str, int]
) -> dict[str, Sensor]:
    """Load the sensors and check that they fit the series of the connector."""
    offered = {offer.name: offer for offer in kind.series(settings)}
    if not sensor_ids:
        raise Invalid({"sensor": [f"Name at least one, as series=id. The series are: {', '.join(offered)}."]})
    sensors: dict[str, Sensor] = {}
    for series, number in sensor_ids.items():
        if series not in offered:
            raise Invalid({"sensor": [f"There is no series '{series}'. The series are: {', '.join(offered)}."]})
        sensor = await load_sensor(con, number)
        for other, assigned in sensors.items():
            if assigned.id == number:
                raise Invalid({"sensor": [f"Sensor {number} cannot hold both {other} and {series}: name another one."]})
        sensors[series] = sensor
        unit = offered[series].unit
        if unit is not None and not accepts_unit(sensor.unit, unit):
            sentence = f"Sensor {number} is in {sensor.unit}, which {series} in {unit} cannot be."
            raise Invalid({"sensor": [sentence]})
    return sensors


def check_interval(every: timedelta) -> timedelta:
    """Refuse an interval that is too short or too long, else return it."""
    if not MIN_INTERVAL <= every <= MAX_INTERVAL:
        raise Invalid({"every": [f"{format_duration(every)} is not between PT1M and P31D."]})
    return every


async def save(con: Connection, statement: str, *values: object) -> int:
    """Insert or update a connector and return its id. Raises `Conflict` if its name is taken."""
    try:
        number: int = await con.fetchval(statement, *values)
    except asyncpg.UniqueViolationError:
        raise Conflict("The account has a connector of that name already.") from None
    return number


def audit_details(config: Mapping[str, object], every: timedelta, sensors: Mapping[str, Sensor]) -> dict[str, object]:
    """Return the details for the audit log, without secrets."""
    ids = {series: sensor.id for series, sensor in sensors.items()}
    return {"config": dict(config), "every": format_duration(every), "sensors": ids}
