"""What cells of text say: times and numbers, as expressions over whole columns. What cannot be read becomes null."""

import polars as pl

OFFSET = r"(?i)^(.*\d:\d\d\S*?)\s*(z|utc|[+-]\d\d(?::?\d\d)?)$"
"""A time of day followed by its distance to UTC."""

SPELLINGS = (
    (r"(\d)[Tt](\d)", "$1 $2"),
    (r"^(\d{1,2})[-.](\d{1,2})[-.](\d{4})", "$3-$2-$1"),
    (r"^(\d{4})/(\d{1,2})/(\d{1,2})", "$1-$2-$3"),
    (r"^(\d{4}-\d{1,2}-\d{1,2})$", "$1 00:00:00"),
    (r"^(\S+ \d{1,2}:\d{2})$", "$1:00"),
    (r"(:\d{2}),(\d+)$", "$1.$2"),
)
"""Other ways to write `2026-03-29 00:15:00`. Day and month with slashes stay unread: either could come first."""

NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"


def wall_time(column: str) -> pl.Expr:
    """The date and time of day as written, whatever its distance to UTC."""
    text = pl.coalesce(pl.col(column).str.extract(OFFSET, 1), pl.col(column))
    for spelling, plain in SPELLINGS:
        text = text.str.replace(spelling, plain)
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)


def offset(column: str) -> pl.Expr:
    """The distance to UTC as written; null if none is."""
    text = pl.col(column).str.extract(OFFSET, 2)
    sign = pl.when(text.str.starts_with("-")).then(-1).otherwise(1)
    hours, minutes = (text.str.extract(r"^[+-](\d\d):?(\d\d)?", i).cast(pl.Int64).fill_null(0) for i in (1, 2))
    return pl.when(text.is_not_null()).then(pl.duration(minutes=sign * (60 * hours + minutes)))


def times(column: str, zone: str, *, beside: list[str]) -> pl.Expr:
    """The column's times in UTC. Those without a distance to UTC are read in `zone`.

    An hour that the clock shows twice is read by the order of the rows: a time that comes back, with the same cells
    `beside` it, is the second one.
    """
    local, distance = wall_time(column), offset(column)
    place = pl.int_range(pl.len()).over(column, *beside)
    last = pl.len().over(column, *beside) - 1
    rising = local.first() <= local.last()
    comes_back = pl.when(rising).then(place > 0).otherwise(place < last)
    in_zone = local.dt.replace_time_zone(
        zone,
        ambiguous=pl.when(comes_back).then(pl.lit("latest")).otherwise(pl.lit("earliest")),
        non_existent="null",
    )
    as_written = (local - distance).dt.replace_time_zone("UTC")
    return pl.when(distance.is_not_null()).then(as_written).otherwise(in_zone.dt.convert_time_zone("UTC"))


def numbers(column: str, *, decimal_comma: bool) -> pl.Expr:
    """The column's numbers. With a decimal comma, a point could be either mark and is not read."""
    text = pl.col(column)
    if decimal_comma:
        text = pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(",", ".", literal=True))
    value = pl.when(text.str.contains(NUMBER)).then(text).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)
