"""SQL of the scheduler: schedules, explanations, beliefs, and attributes of sensors and assets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from flexmodel.time import instant, steps
from flexstore.series import BeliefBatch, write_beliefs
from flexstore.store import Connection

from scheduler.planning import Plan
from scheduler.resolve.outputs import SIGN, OutputSeries

INSERT_SCHEDULE = """
insert into schedule (job_id, sensor_id, start, resolution, unit, consumption_positive, event_values)
values ($1, $2, $3, $4, $5, $6, $7)
"""
INSERT_EXPLANATION = "insert into explanation (job_id, document) values ($1, $2)"
MARK_SIGN = f"""
update sensor set attributes = attributes || jsonb_build_object('{SIGN}', $2::bool)
where id = $1 and not attributes ? '{SIGN}'
"""  # noqa: S608 - put together from constants
UPDATE_SOC = """
update {table} set attributes = attributes || jsonb_build_object('soc_datetime', $2::text, 'soc_in_mwh', $3::float8)
where id = $1 and attributes ?& array['soc_datetime', 'soc_in_mwh']
"""
UPDATE_SENSOR_SOC, UPDATE_ASSET_SOC = (UPDATE_SOC.format(table=table) for table in ("sensor", "asset"))


@dataclass(frozen=True, slots=True)
class SocAttributes:
    """The state of charge at the start of a schedule for one sensor, as attributes keep it."""

    sensor_id: int
    asset_id: int
    at: datetime
    energy: float
    """[MWh]"""


async def save_plan(
    con: Connection, job_id: UUID, plan: Plan, source: int, belief_time: datetime, state: SocAttributes | None
) -> None:
    """Store a plan, in the transaction of the caller."""
    rows: list[tuple[Any, ...]] = [
        (
            job_id,
            output.sensor,
            output.start,
            output.resolution,
            output.unit,
            output.consumption_positive,
            output.values.tolist(),
        )
        for output in plan.outputs
    ]
    await con.executemany(INSERT_SCHEDULE, rows)
    await con.execute(INSERT_EXPLANATION, job_id, plan.explanation)
    if plan.outputs:
        await write_beliefs(con, to_beliefs(plan.outputs, source, belief_time))
    for output in plan.outputs:
        if output.sets_sign:
            await con.execute(MARK_SIGN, output.sensor, output.consumption_positive)
    if state is not None:
        await con.execute(UPDATE_SENSOR_SOC, state.sensor_id, state.at.isoformat(), state.energy)
        await con.execute(UPDATE_ASSET_SOC, state.asset_id, state.at.isoformat(), state.energy)


def to_beliefs(values: Sequence[OutputSeries], source: int, belief_time: datetime) -> BeliefBatch:
    """Return all values as beliefs of the scheduler, to be written at once."""
    return BeliefBatch(
        sensor=np.repeat([output.sensor for output in values], [len(output.values) for output in values]),
        event_start=np.concatenate([steps(output.start, output.resolution, len(output.values)) for output in values]),
        belief_time=instant(belief_time),
        values=np.concatenate([output.values for output in values]),
        source=source,
    )
