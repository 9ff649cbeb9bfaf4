"""Time series of beliefs: writing, loading, deleting and statistics. Arrays in, arrays out.

A belief is the value that a source gave for an event (a time slot) of a sensor at some belief time. All functions take
an open connection and may be part of the caller's transaction.
"""

from flexstore.series.belief_batch import LARGEST_VALUE, BeliefBatch, to_datetime64
from flexstore.series.belief_queries import BeliefSet, SeriesQuery, find_next_batch, load_beliefs
from flexstore.series.belief_writes import WriteCounts, delete_all_beliefs, delete_beliefs, write_beliefs
from flexstore.series.latest_beliefs import (
    SensorValue,
    Series,
    load_latest_values,
    load_nearest_value,
    load_series,
)
from flexstore.series.statistics import (
    DailyStatistics,
    SourceStatistics,
    Staleness,
    load_daily_statistics,
    load_source_statistics,
    load_staleness,
)

__all__ = [
    "LARGEST_VALUE",
    "BeliefBatch",
    "BeliefSet",
    "DailyStatistics",
    "SensorValue",
    "Series",
    "SeriesQuery",
    "SourceStatistics",
    "Staleness",
    "WriteCounts",
    "delete_all_beliefs",
    "delete_beliefs",
    "find_next_batch",
    "load_beliefs",
    "load_daily_statistics",
    "load_latest_values",
    "load_nearest_value",
    "load_series",
    "load_source_statistics",
    "load_staleness",
    "to_datetime64",
    "write_beliefs",
]
