"""Adding, editing, pausing and deleting connectors. What the audit log is told of them has no secret in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
from flexmodel.errors import Conflict, Invalid, NotFound
from flexmodel.time import format_duration
from flexstore import audit_log
from flexstore.store import Connection

from ingest.connectors import configuration, repository
from ingest.connectors.equipment import check_owner
from ingest.connectors.kinds import AnyKind, Settings
from ingest.connectors.registry import kind_of
from ingest.connectors.repository import Connector
from ingest.data.repository import Sensor, find_sensor
from ingest.data.units import accepts

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be different; None: that stays, and in a new connector it is as usual."""

    name: str | None = None
    given: Mapping[str, Any] | None = None
    """Settings of the kind, secret ones included; those that are not named stay."""
    sensors: Mapping[str, int] | None = None
    """The sensors that it fills, by series; all of them."""
    every: timedelta | None = None


async def add(con: Connection, kind_name: str, name: str, changes: Changes) -> int:
    kind = kind_of(kind_name)
    settings = configuration.read(kind, changes.given or {})
    sensors = await check_sensors(con, kind, settings, changes.sensors or {})
    account = next(iter(sensors.values())).account
    for sensor in sensors.values():
        check_owner(sensor, account)
    config, secrets = configuration.split(kind, settings)
    every = check_interval(changes.every or kind.interval)
    number = await write(con, repository.ADD, account, kind.name, name, config, secrets, every)
    await repository.set_sensors(con, number, {series: sensor.id for series, sensor in sensors.items()})
    details = {"after": described(config, every, sensors)}
    await audit_log.record(
        con, f"Added connector '{name}' ({kind.name}): {number}", account_id=account, details=details
    )
    return number


async def edit(con: Connection, number: int, changes: Changes) -> None:
    found = await get(con, number)
    kind = kind_of(found.kind)
    before = await repository.sensors_of(con, number)
    settings = configuration.read(kind, {**found.config, **found.secrets, **(changes.given or {})})
    wanted = {series: sensor.id for series, sensor in before.items()} if changes.sensors is None else changes.sensors
    sensors = await check_sensors(con, kind, settings, wanted)
    for sensor in sensors.values():
        check_owner(sensor, found.account_id)
    config, secrets = configuration.split(kind, settings)
    every = check_interval(changes.every or found.every)
    name = changes.name or found.name
    await write(con, repository.EDIT, number, name, config, secrets, every)
    await repository.set_sensors(con, number, wanted)
    details = {"before": described(found.config, found.every, before), "after": described(config, every, sensors)}
    await audit_log.record(con, f"Edited connector '{name}': {number}", account_id=found.account_id, details=details)


async def switch(con: Connection, number: int, *, on: bool) -> str:
    """Let it run, or let it rest. Returns its name."""
    found = await get(con, number)
    await repository.switch(con, number, on=on)
    event = f"{'Resumed' if on else 'Paused'} connector '{found.name}': {number}"
    await audit_log.record(con, event, account_id=found.account_id)
    return found.name


async def delete(con: Connection, number: int) -> str:
    """Delete it; what it has fetched stays. Returns its name."""
    found = await get(con, number)
    await repository.delete(con, number)
    await audit_log.record(con, f"Deleted connector '{found.name}': {number}", account_id=found.account_id)
    return found.name


async def get(con: Connection, number: int) -> Connector:
    found = await repository.find(con, number)
    if found is None:
        raise NotFound(f"There is no connector with id {number}.")
    return found


async def check_sensors(
    con: Connection, kind: AnyKind, settings: Settings, wanted: Mapping[str, int]
) -> dict[str, Sensor]:
    """The sensors, which must be able to hold what the connector offers."""
    offers = {offer.name: offer for offer in kind.series(settings)}
    if not wanted:
        raise Invalid({"sensor": [f"Name at least one, as series=id. The series are: {', '.join(offers)}."]})
    sensors: dict[str, Sensor] = {}
    for series, number in wanted.items():
        if series not in offers:
            raise Invalid({"sensor": [f"There is no series '{series}'. The series are: {', '.join(offers)}."]})
        sensor = await find_sensor(con, number)
        for other, taken in sensors.items():
            if taken.id == number:
                raise Invalid({"sensor": [f"Sensor {number} cannot hold both {other} and {series}: name another one."]})
        sensors[series] = sensor
        unit = offers[series].unit
        if unit is not None and not accepts(sensor.unit, unit):
            sentence = f"Sensor {number} is in {sensor.unit}, which {series} in {unit} cannot be."
            raise Invalid({"sensor": [sentence]})
    return sensors


def check_interval(every: timedelta) -> timedelta:
    if not SHORTEST <= every <= LONGEST:
        raise Invalid({"every": [f"{format_duration(every)} is not between PT1M and P31D."]})
    return every


async def write(con: Connection, statement: str, *values: Any) -> int:
    try:
        number: int = await con.fetchval(statement, *values)
    except asyncpg.UniqueViolationError:
        raise Conflict("The account has a connector of that name already.") from None
    return number


def described(config: Mapping[str, Any], every: timedelta, sensors: Mapping[str, Sensor]) -> dict[str, Any]:
    """What may be told of it."""
    ids = {series: sensor.id for series, sensor in sensors.items()}
    return {"config": dict(config), "every": format_duration(every), "sensors": ids}
