"""`flexmesh add beliefs` and `flexmesh add schedule`."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import UUID

import typer

from flexmesh.cli import arguments

if TYPE_CHECKING:
    from flexmesh.scheduling import ScheduleResult


def register(app: typer.Typer) -> None:
    app.command()(beliefs)
    app.command()(schedule)


def beliefs(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, Excel (.xlsx) or Parquet.")],
    sensor: Annotated[int, typer.Option("--sensor", "--sensor-id", help="ID of the sensor.")],
    source: Annotated[str, typer.Option(help="Who says so: ID of a source, name of a user, or any name.")],
    unit: Annotated[str | None, typer.Option(help="Unit of the values. Left out: that of the sensor.")] = None,
    timezone: Annotated[
        str,
        arguments.zone_option(help="Where the clock of times without offset hangs."),
    ] = "UTC",
    horizon: Annotated[
        int | None, typer.Option(help="Minutes that the values were known before the end of their event.")
    ] = None,
    cp: Annotated[float, typer.Option(min=0, max=1, help="Cumulative probability of the values.")] = 0.5,
    skiprows: Annotated[int, typer.Option(min=0, help="Rows at the top that hold no data.")] = 1,
    nrows: Annotated[int | None, typer.Option(min=1, help="Read at most so many rows.")] = None,
    datecol: Annotated[int, typer.Option(min=0, help="Column of the times; the first is 0.")] = 0,
    valuecol: Annotated[int, typer.Option(min=0, help="Column of the values.")] = 1,
    beliefcol: Annotated[int | None, typer.Option(min=0, help="Column of the times of belief.")] = None,
    filter_column: Annotated[list[int] | None, typer.Option(help="Keep only rows where this column …")] = None,
    filter_value: Annotated[list[str] | None, typer.Option(help="… has this value.")] = None,
    na_values: Annotated[list[str] | None, typer.Option(help="Text that stands for a missing value.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between columns of CSV. Left out: found by itself.")] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal mark. Left out: found by itself.")] = None,
    thousands: Annotated[str | None, typer.Option(help="Mark between thousands.")] = None,
    allow_overwrite: Annotated[
        bool,
        typer.Option("--allow-overwrite/--do-not-allow-overwrite", help="Replace values of the same time of belief."),
    ] = False,
) -> None:
    """Load values of a sensor from a file, with times in the first column and values in the second."""
    from flexmesh import database, file_import

    layout = file_import.FileLayout(
        skiprows=skiprows,
        nrows=nrows,
        datecol=datecol,
        valuecol=valuecol,
        beliefcol=beliefcol,
        filters=dict(zip(filter_column or [], filter_value or [], strict=False)),
        missing=na_values or [],
        delimiter=delimiter,
        decimal=decimal,
        thousands=thousands,
        timezone=timezone,
    )
    if len(filter_column or []) != len(filter_value or []):
        raise typer.BadParameter("Give as many --filter-value as --filter-column.")
    written = database.run_in_transaction(
        lambda con: file_import.import_file(
            con,
            file,
            layout,
            sensor_id=sensor,
            source=source,
            unit=unit,
            horizon=None if horizon is None else timedelta(minutes=horizon),
            probability=cp,
            overwrite=allow_overwrite,
        )
    )
    typer.secho(
        f"Stored {written.new} new and {written.changed} changed beliefs; {written.unchanged} were there.", fg="green"
    )


def schedule(
    start: Annotated[datetime, arguments.time_option(help="Like 2026-01-31T07:00+01:00.")],
    duration: Annotated[str, typer.Option(help="Like PT12H.")],
    kind: Annotated[str, typer.Argument(hidden=True, help="for-storage, as older tutorials write.")] = "",
    sensor: Annotated[int | None, typer.Option(help="ID of the power sensor to schedule.")] = None,
    asset: Annotated[int | None, typer.Option(help="ID of the asset whose devices to schedule together.")] = None,
    resolution: Annotated[str | None, typer.Option(help="Steps of the schedule, like PT15M.")] = None,
    prior: Annotated[datetime | None, arguments.time_option(help="Use only what was known then.")] = None,
    soc_at_start: Annotated[str | None, typer.Option(help="State of charge at the start, like 50% or 20 kWh.")] = None,
    flex_model: Annotated[object, arguments.json_option(help="JSON, or a file of it.")] = None,
    flex_context: Annotated[dict[str, Any] | None, arguments.object_option(help="JSON, or a file of it.")] = None,
    scheduler: Annotated[str, typer.Option(help="Found by itself from the flex-model.", hidden=True)] = "",
    as_job: Annotated[bool, typer.Option("--as-job", help="Leave the work to a worker.")] = False,
    consumption_price_sensor: Annotated[int | None, typer.Option(hidden=True)] = None,
    production_price_sensor: Annotated[int | None, typer.Option(hidden=True)] = None,
    roundtrip_efficiency: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Make a schedule for a device, or for all devices of an asset."""
    if (sensor is None) == (asset is None):
        raise typer.BadParameter("Give either --sensor or --asset.")
    if kind not in ("", "for-storage") or scheduler not in ("", "StorageScheduler", "ProcessScheduler"):
        raise typer.BadParameter(f"'{kind or scheduler}' is no scheduler: leave it out.")
    prices = {"consumption-price": consumption_price_sensor, "production-price": production_price_sensor}
    given = {name: {"sensor": price} for name, price in prices.items() if price is not None}
    if roundtrip_efficiency is not None:
        flex_model = {**cast("dict[str, Any]", flex_model or {}), "roundtrip-efficiency": roundtrip_efficiency}
    message = {
        "start": start.isoformat(),
        "duration": duration,
        "resolution": resolution,
        "prior": prior and prior.isoformat(),
        "flex-model": flex_model,
        "flex-context": {**given, **(flex_context or {})},
    }
    make({name: value for name, value in message.items() if value is not None}, asset, sensor, soc_at_start, as_job)


def make(message: dict[str, Any], asset: int | None, sensor: int | None, state: str | None, as_job: bool) -> None:
    from flexstore.store import Store

    from flexmesh import database, scheduling

    async def work(store: Store) -> scheduling.ScheduleResult | UUID:
        async with store.transaction() as con:
            sent = message
            if state is not None:
                sent = await scheduling.add_state_of_charge(con, message, state, asset=asset, sensor=sensor)
            job = await scheduling.enqueue(con, sent, asset=asset, sensor=sensor)
        return job if as_job else await scheduling.run_job_here(store, job)

    made = database.run_with_store(work)
    if isinstance(made, UUID):
        typer.echo(f"New scheduling job {made} has been added to the queue.")
    else:
        tell(made)


def tell(made: "ScheduleResult") -> None:
    typer.secho("New schedule is stored.", fg="green")
    for name, cost in made.costs.items():
        typer.echo(f"  {name}: {cost:.6f} {made.currency}")
    for warning in made.warnings:
        typer.secho(warning, fg="yellow", err=True)
