"""Time series: what was believed, by whom and when, of the values of a sensor. Arrays in, arrays out."""

from flexstore.series.belief_batch import LARGEST_VALUE, BeliefBatch, to_datetime64
from flexstore.series.belief_queries import Series, SeriesQuery, find_next_batch, load_series
from flexstore.series.belief_writes import WriteCounts, write_beliefs
from flexstore.series.believed import BeliefSet, load_beliefs
from flexstore.series.latest_beliefs import SensorValue, delete_beliefs, load_latest_values, load_nearest_value
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
