"""Parsing of text cells into times and numbers, as expressions over whole columns. What cannot be parsed is null."""

from typing import Literal

import polars as pl
from flexstore.series import LARGEST_VALUE

from ingest.data.service import EARLIEST, LATEST

UTC_OFFSET = r"(?:[Zz]|[Uu][Tt][Cc]|[+-]\d\d(?::?\d\d)?)$"
"""UTC offset after a time of day."""

MAX_OFFSET_MINUTES = 14 * 60
"""Largest UTC offset, of the Line Islands."""

SPELLINGS = (
    (r"(\d)[Tt](\d)", "$1 $2"),
    (r"^(\d{1,2})[-.](\d{1,2})[-.](\d{4})", "$3-$2-$1"),
    (r"^(\d{4})/(\d{1,2})/(\d{1,2})", "$1-$2-$3"),
    (r"^(\d{4}-\d{1,2}-\d{1,2})$", "$1 00:00:00"),
    (r"^(\S+ \d{1,2}:\d{2})$", "$1:00"),
    (r"(:\d{2}),(\d+)$", "$1.$2"),
)
"""Other spellings of `2026-03-29 00:15:00`. Day and month with slashes are not parsed: either could come first."""

NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"


def utc_offset(column: str) -> pl.Expr:
    """Return the UTC offset as written; null if there is none."""
    text = pl.col(column)
    return pl.when(text.str.contains(":", literal=True)).then(text.str.extract(UTC_OFFSET, 0))


def parse_wall_time(column: str) -> pl.Expr:
    """Return the date and time of day as written, without the UTC offset."""
    text = pl.col(column).str.strip_suffix(utc_offset(column).fill_null("")).str.strip_chars_end()
    for spelling, normal in SPELLINGS:
        text = text.str.replace(spelling, normal)
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)


def offset_minutes(written: str) -> int | None:
    """Return the UTC offset in minutes; None if no clock on earth has it."""
    digits = written.lstrip("+-").replace(":", "")
    if not digits.isdigit():
        return 0
    minutes = 60 * int(digits[:2]) + int(digits[2:] or 0)
    if minutes > MAX_OFFSET_MINUTES or int(digits[2:] or 0) >= 60:
        return None
    return -minutes if written.startswith("-") else minutes


def parse_times(text: pl.DataFrame, column: str, zone: str | None) -> pl.DataFrame:
    """Parse the column's times as written (`wall`) and in UTC (`utc`). Times without a UTC offset are taken in `zone`.

    For a time that the clock shows twice, `utc` is the first occurrence and `second` the other.
    """
    parsed = text.select(wall=parse_wall_time(column), offset=utc_offset(column))
    offsets = {written: offset_minutes(written) for written in parsed["offset"].unique().drop_nulls()}
    distance = pl.duration(minutes=pl.col("offset").replace_strict(offsets, default=None, return_dtype=pl.Int64))
    parsed = parsed.with_columns(
        utc=(pl.col("wall") - distance).dt.replace_time_zone("UTC"), second=pl.lit(None, pl.Datetime("us", "UTC"))
    )
    local = pl.col("wall").is_not_null() & pl.col("offset").is_null()
    if zone and parsed.select(local.any()).item():
        parsed = parsed.with_columns(first=localize(zone, "earliest"), last=localize(zone, "latest"))
        parsed = parsed.with_columns(
            utc=pl.when(local).then("first").otherwise("utc"),
            second=pl.when(local & (pl.col("first") != pl.col("last"))).then("last"),
        )
    return parsed.select("wall", pl.when(pl.col("utc").is_between(EARLIEST, LATEST)).then("utc").alias("utc"), "second")


def localize(zone: str, ambiguous: Literal["earliest", "latest"]) -> pl.Expr:
    """Return the moments in UTC of wall times in a time zone; null for times that its clock skips."""
    local = pl.col("wall").dt.replace_time_zone(zone, ambiguous=ambiguous, non_existent="null")
    return local.dt.convert_time_zone("UTC")


def parse_numbers(column: str, *, decimal_comma: bool) -> pl.Expr:
    """Parse the column's numbers. With a decimal comma, numbers with a point are ambiguous and not parsed."""
    text = pl.col(column)
    if decimal_comma:
        text = pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(",", ".", literal=True))
    value = pl.when(text.str.contains(NUMBER)).then(text).cast(pl.Float64, strict=False)
    return pl.when(value.abs() <= LARGEST_VALUE).then(value)
