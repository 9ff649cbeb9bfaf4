"""A spread of values replaces what its source said of the event at the very same time, with whichever probabilities."""

import numpy as np

from flexstore.series.belief_batch import DETERMINISTIC, KEY_COLUMNS
from flexstore.series.binary_format import ROW_DTYPE, BeliefRows, to_datetimes
from flexstore.store import Connection


def has_distributions(rows: BeliefRows) -> bool:
    return bool((rows["cumulative_probability"] != DETERMINISTIC).any())


async def delete_replaced(con: Connection, rows: BeliefRows) -> None:
    """Delete what these rows, in the order of the key, replace without overwriting it."""
    starts, believed = rows["event_start"], rows["belief_time"]
    span = to_datetimes(np.array([starts.min(), starts.max(), believed.min(), believed.max()]))
    sensors, sources = (np.unique(rows[name]).tolist() for name in ("sensor_id", "source_id"))
    if await con.fetchval(SELECT_HAS_EARLIER, *span, sensors, sources):
        keys = (
            to_datetimes(rows[name]) if ROW_DTYPE[name].kind == "M" else rows[name].tolist() for name in KEY_COLUMNS
        )
        await con.execute(DELETE_REPLACED, *span[:2], *keys)


SELECT_HAS_EARLIER = """
select exists (
    select from unnest($5::int[]) as asked (sensor_id) cross join lateral (
        select from belief
        where belief.sensor_id = asked.sensor_id and belief.event_start between $1 and $2
            and belief.belief_time between $3 and $4 and belief.source_id = any($6::int[])
        limit 1
    ) known
)
"""

DELETE_REPLACED = """
with rows as materialized (
    select * from unnest($3::int[], $4::timestamptz[], $5::timestamptz[], $6::int[], $7::real[])
    as rows (sensor_id, event_start, belief_time, source_id, cumulative_probability)
),
former as materialized (
    select known.* from (select distinct sensor_id, event_start, belief_time, source_id from rows) said
    cross join lateral (
        select belief.sensor_id, belief.event_start, belief.belief_time, belief.source_id, belief.cumulative_probability
        from belief
        where belief.sensor_id = said.sensor_id and belief.event_start = said.event_start
            and belief.belief_time = said.belief_time and belief.source_id = said.source_id
            and belief.event_start between $1 and $2
    ) known
    except
    select * from rows
)
delete from belief using former
where belief.sensor_id = former.sensor_id and belief.event_start = former.event_start
    and belief.belief_time = former.belief_time and belief.source_id = former.source_id
    and belief.cumulative_probability = former.cumulative_probability and belief.event_start between $1 and $2
"""
