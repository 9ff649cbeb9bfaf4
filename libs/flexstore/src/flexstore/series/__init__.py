"""Time series: what was believed, by whom and when, of the values of a sensor. Arrays in, arrays out."""

from flexstore.series.beliefs import Beliefs, moment
from flexstore.series.believed import Believed, read_beliefs
from flexstore.series.points import Point, Staleness, Stats, delete, latest, nearest, staleness, stats
from flexstore.series.reading import Series, SeriesQuery, read, stretch
from flexstore.series.writing import Written, write

__all__ = [
    "Beliefs",
    "Believed",
    "Point",
    "Series",
    "SeriesQuery",
    "Staleness",
    "Stats",
    "Written",
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
