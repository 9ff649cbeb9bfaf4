"""Connectors on the command line: tables of their kinds and state, their secrets, and a run in this process."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from flexmodel.errors import Invalid, NotFound
from flexmodel.time import format_duration
from flexserve.settings import load, variable
from flexstore.store import Connection, Store
from ingest.belief_writer import BeliefWriter
from ingest.connectors import repository, service
from ingest.connectors.connector_runner import ConnectorRunner, ReportProgress, RunResult
from ingest.connectors.loaded_connector import secret_fields
from ingest.connectors.registry import KINDS, get_kind
from ingest.connectors.repository import Connector
from ingest.connectors.worker import open_http_client
from ingest.settings import IngestSettings
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from flexmesh.tables import Table, facts_table, to_json, to_rows

type Day = date | datetime
"""A moment, or a day in the time zone of the sensor."""


def list_kinds() -> Table:
    """Return the kinds of connectors."""
    return ("Kind", "What it fills"), [(kind.name, kind.about) for kind in KINDS.values()]


def list_settings(name: str) -> Table:
    """Return the settings of the kind of connector."""
    fields = get_kind(name).settings.model_fields
    return ("Setting", "Default", ""), [
        (field_name, format_default(field), field.description or "") for field_name, field in fields.items()
    ]


def format_default(field: FieldInfo) -> str:
    """Return the default of a setting as text."""
    if field.is_required():
        return "must be set"
    return "" if field.default in (None, PydanticUndefined) else str(to_jsonable_python(field.default))


def list_series(name: str) -> Table | None:
    """Return the series that connectors of the kind can fill, or None if they depend on the settings."""
    kind = get_kind(name)
    try:
        offers = kind.series(kind.settings.model_construct())
    except AttributeError:  # it needs a setting that has no default
        return None
    return ("Series", "Unit", ""), [(offer.name, offer.unit or "", offer.about) for offer in offers]


async def list_connectors(con: Connection, account: int | None) -> Table:
    """Return the connectors of an account, or of all, with their state."""
    rows: list[Sequence[Any]] = []
    for one in await repository.load_all(con, account):
        sensors = await repository.load_sensors(con, one.id)
        fills = ", ".join(f"{series}={sensor.id}" for series, sensor in sensors.items())
        rows.append(
            (one.id, one.name, one.kind, one.account_id, fills, format_state(one), one.last_success_at, one.data_until)
        )
    return ("ID", "Name", "Kind", "Account", "Sensors", "State", "Last success", "Data until"), rows


def format_state(connector: Connector) -> str:
    """Return the state of a connector in a few words."""
    if not connector.enabled:
        return "paused"
    if connector.last_error is not None:
        return f"failing ({connector.failures})"
    return "waiting for its first run" if connector.last_run_at is None else "fine"


async def describe_connector(con: Connection, number: int) -> list[tuple[str, Table]]:
    """Return the details of a connector, and the sensors that it fills."""
    found = await service.load_existing(con, number)
    shown = ("name", "kind", "account_id", "enabled", "last_run_at", "last_success_at", "last_error", "failures")
    pairs = [
        *((name, getattr(found, name)) for name in shown),
        ("data_until", found.data_until),
        ("next_run_at", found.next_run_at if found.enabled else None),
        ("every", format_duration(found.every)),
        ("config", to_json(dict(found.config))),
        ("secrets", ", ".join(f"{name}: set" for name in found.secrets) or None),
    ]
    sensors = await repository.load_sensors(con, number)
    rows = to_rows((series, sensor.id, sensor.name, sensor.unit) for series, sensor in sensors.items())
    return [(f"Connector {number}", facts_table(pairs)), ("Fills", (("Series", "ID", "Sensor", "Unit"), rows))]


def complete_settings(
    kind: str, given: Mapping[str, Any], named: Sequence[str], ask: Callable[[str], str]
) -> dict[str, Any]:
    """Return the settings of a new connector with its secrets. Prompt for required secrets that are missing."""
    known, fields = secret_fields(get_kind(kind)), get_kind(kind).settings.model_fields
    in_environment = {name: value for name in known if (value := get_secret_from_environment(name))}
    all_given = {**in_environment, **given, **collect_secrets(kind, named, ask)}
    needed = [name for name in known if fields[name].is_required() and name not in all_given]
    return {**all_given, **{name: ask(name) for name in needed}}


def refuse_secrets(kind: str, names: Iterable[str]) -> None:
    """Refuse secrets among the names: options stay in the history of the shell."""
    for name in secret_fields(get_kind(kind)):
        if name in names:
            raise Invalid({"set": [f"{name} is a secret: give it with --secret {name}, which asks for it."]})


def get_secret_from_environment(secret: str) -> str | None:
    """Return the value of a secret from its environment variable."""
    return os.environ.get(variable(f"connector_{secret}"))


def collect_secrets(kind: str, named: Sequence[str], ask: Callable[[str], str]) -> dict[str, str]:
    """Return the named secrets, from the environment or else from a prompt."""
    known = secret_fields(get_kind(kind))
    for name in named:
        if name not in known:
            raise NotFound(f"'{name}' is no secret of {kind}. Its secrets: {', '.join(known) or 'none'}.")
    return {name: get_secret_from_environment(name) or ask(name) for name in named}


async def run_connector(
    store: Store, number: int, start: Day | None, end: Day | None, tell: ReportProgress
) -> RunResult:
    """Run the connector in this process, over the window from `start` if it is given."""
    settings = load(IngestSettings)
    window = None
    if start is not None:
        async with store.connection() as con:
            await service.load_existing(con, number)
            sensors = await repository.load_sensors(con, number)
        zone = next(iter(sensors.values())).zone if sensors else None
        window = (midnight(start, zone), midnight(end, zone, later=1) if end else datetime.now(zone))
    async with open_http_client(settings) as http:
        return await ConnectorRunner(store, BeliefWriter(), http).run_now(number, window, tell)


def midnight(day: Day, zone: tzinfo | None, later: int = 0) -> datetime:
    """Return a moment as it is, and for a day its beginning, or that of a later day."""
    if isinstance(day, datetime):
        return day
    return datetime.combine(day + timedelta(days=later), time(), zone).astimezone(zone)
