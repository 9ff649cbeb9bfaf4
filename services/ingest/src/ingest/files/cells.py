"""What cells of text say: times and numbers, as expressions over whole columns. What cannot be read becomes null."""

from typing import Literal

import polars as pl
from flexstore.series import LARGEST_VALUE

from ingest.data.service import FIRST, LAST

SUFFIX = r"(?:[Zz]|[Uu][Tt][Cc]|[+-]\d\d(?::?\d\d)?)$"
"""The distance to UTC, after a time of day."""

FARTHEST = 14 * 60
"""Minutes that a clock is ahead of UTC at most, on the Line Islands."""

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


def suffix(column: str) -> pl.Expr:
    """The distance to UTC as written; null if none is."""
    text = pl.col(column)
    return pl.when(text.str.contains(":", literal=True)).then(text.str.extract(SUFFIX, 0))


def wall_time(column: str) -> pl.Expr:
    """The date and time of day as written, whatever its distance to UTC."""
    text = pl.col(column).str.strip_suffix(suffix(column).fill_null("")).str.strip_chars_end()
    for spelling, plain in SPELLINGS:
        text = text.str.replace(spelling, plain)
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)


def minutes(written: str) -> int | None:
    """How far a clock is ahead of UTC; None if no clock on earth is."""
    digits = written.lstrip("+-").replace(":", "")
    if not digits.isdigit():
        return 0
    ahead = 60 * int(digits[:2]) + int(digits[2:] or 0)
    if ahead > FARTHEST or int(digits[2:] or 0) >= 60:
        return None
    return -ahead if written.startswith("-") else ahead


def times(text: pl.DataFrame, column: str, zone: str | None) -> pl.DataFrame:
    """The column's times as written (`wall`) and in UTC (`utc`). Those without a distance to UTC are read in `zone`.

    Where the clock shows a time twice, `utc` is the first one and `second` the other.
    """
    read = text.select(wall=wall_time(column), suffix=suffix(column))
    ahead = {written: minutes(written) for written in read["suffix"].unique().drop_nulls()}
    distance = pl.duration(minutes=pl.col("suffix").replace_strict(ahead, default=None, return_dtype=pl.Int64))
    read = read.with_columns(
        utc=(pl.col("wall") - distance).dt.replace_time_zone("UTC"), second=pl.lit(None, pl.Datetime("us", "UTC"))
    )
    local = pl.col("wall").is_not_null() & pl.col("suffix").is_null()
    if zone and read.select(local.any()).item():
        read = read.with_columns(first=in_zone(zone, "earliest"), last=in_zone(zone, "latest"))
        read = read.with_columns(
            utc=pl.when(local).then("first").otherwise("utc"),
            second=pl.when(local & (pl.col("first") != pl.col("last"))).then("last"),
        )
    return read.select("wall", pl.when(pl.col("utc").is_between(FIRST, LAST)).then("utc").alias("utc"), "second")


def in_zone(zone: str, ambiguous: Literal["earliest", "latest"]) -> pl.Expr:
    local = pl.col("wall").dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null")
    return local.dt.convert_time_zone("UTC")


def numbers(column: str, *, decimal_comma: bool) -> pl.Expr:
    """The column's numbers. With a decimal comma, a point could be either mark and is not read."""
    text = pl.col(column)
    if decimal_comma:
        text = pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(",", ".", literal=True))
    value = pl.when(text.str.contains(NUMBER)).then(text).cast(pl.Float64, strict=False)
    return pl.when(value.abs() <= LARGEST_VALUE).then(value)
