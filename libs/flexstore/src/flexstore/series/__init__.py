"""Time series: what was believed, by whom and when, of the values of a sensor. Arrays in, arrays out."""

from flexstore.series.beliefs import LARGEST, Beliefs, moment
from flexstore.series.believed import Believed, read_beliefs
from flexstore.series.points import Point, delete, latest, nearest
from flexstore.series.reading import Series, SeriesQuery, read, stretch
from flexstore.series.statistics import Daily, Staleness, Stats, daily, staleness, stats
from flexstore.series.writing import Written, write

__all__ = [
    "LARGEST",
    "Beliefs",
    "Believed",
    "Daily",
    "Point",
    "Series",
    "SeriesQuery",
    "Staleness",
    "Stats",
    "Written",
    "daily",
    "delete",
    "latest",
    "moment",
    "nearest",
    "read",
    "read_beliefs",
    "staleness",
    "stats",
    "stretch",
    "write",
]
