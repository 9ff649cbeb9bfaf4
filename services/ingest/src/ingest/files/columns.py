"""Which column of a table is what, and its rows as numbers. Whatever cannot be read has its row named."""

from dataclasses import dataclass

import polars as pl

from ingest.files import cells
from ingest.files.formats import FileError, Table

NAMES = {
    "start": ("event_start", "start", "time", "timestamp", "datetime", "date_time", "date", "from", "start_time"),
    "value": ("event_value", "value", "values"),
    "belief": ("belief_time", "believed_at", "recorded_at", "prior"),
    "source": ("source",),
}
"""What columns may be called, in order of preference."""

EXAMPLE = "2026-03-29T00:15:00+01:00"
MANY = 20
"""Problems that are spelled out; the others are counted."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that hold a value: `row`, `start`, `value`, `belief` and `source` (null where the file does not say).

    `wall` is the start as written, whatever its distance to UTC.
    """

    frame: pl.DataFrame
    problems: list[str]


def understand(table: Table, zone: str, value_name: str) -> Rows:
    """The table's rows, with times without offset read in `zone`. Values may be in a column called `value_name`."""
    numbered = table.rows.with_row_index("row", offset=table.first)
    filled = numbered.filter(pl.any_horizontal(pl.exclude("row").str.len_bytes() > 0))
    names = table.names or header(filled)
    if not table.names and names:
        filled = filled.slice(1)
    if filled.is_empty():
        raise FileError("There are no rows with data in it.")
    roles = tell_apart(names, filled, value_name)
    nothing = pl.lit(None, pl.String)
    text = filled.select("row", **{role: as_text(roles[role]) if role in roles else nothing for role in NAMES})
    return read_cells(text, zone, table.decimal_comma)


def as_text(column: str) -> pl.Expr:
    return pl.when(pl.col(column) != "").then(pl.col(column))


# --- columns


def header(filled: pl.DataFrame) -> tuple[str, ...]:
    """The names in the first row, or none if there is a time in it: then it is data already."""
    first = filled.drop("row").head(1)
    if first.is_empty() or any(is_time(first, column) for column in first.columns):
        return ()
    return tuple(str(cell or "") for cell in first.row(0))


def is_time(filled: pl.DataFrame, column: str) -> bool:
    return filled.head(1).select(cells.wall_time(column).is_not_null().any()).item() is True


def tell_apart(names: tuple[str, ...], filled: pl.DataFrame, value_name: str) -> dict[str, str]:
    """Which column has which role: by name, else by order."""
    columns = filled.drop("row").columns
    plain = [plainly(name) for name in names]
    roles: dict[str, str] = {}
    for role, known in NAMES.items():
        wanted = (*known, plainly(value_name)) if role == "value" else known
        found = [columns[plain.index(name)] for name in wanted if name in plain]
        if found:
            roles[role] = found[0]
    rest = [column for column in columns if column not in roles.values()]
    missing = [role for role in ("start", "value") if role not in roles]
    if len(missing) == 2 and len(rest) == 3 and is_time(filled, rest[1]):
        missing = ["start", "belief", "value"]
    if missing and len(missing) != len(rest):
        called = ", ".join(names) or f"{len(columns)} without names"
        raise FileError(f"The columns cannot be told apart ({called}): call them event_start and event_value.")
    return roles | dict(zip(missing, rest, strict=False))


def plainly(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


# --- cells


def read_cells(text: pl.DataFrame, zone: str, decimal_comma: bool) -> Rows:
    comma = decimal_comma and text["value"].str.contains(",", literal=True).any()
    starts = cells.times(text, "start", zone, beside=["belief", "source"])
    beliefs = cells.times(text, "belief", zone, beside=["start", "source"])
    frame = text.select(
        "row",
        "source",
        wall=starts["wall"],
        start=starts["utc"],
        belief=beliefs["utc"],
        value=cells.numbers("value", decimal_comma=comma),
    )
    point = "; the file writes decimal commas, so a point is unclear" if comma else ", such as 12.5"
    problems = [
        *unread(text, frame, "start", f"is not a time in {zone}, such as {EXAMPLE}"),
        *unread(text, frame, "belief", f"is not a time in {zone}, such as {EXAMPLE}"),
        *unread(text, frame, "value", f"is not a number{point}"),
        *((row, f"row {row}: there is a value but no time.") for row in without_time(text)),
    ]
    sentences = [sentence for _, sentence in sorted(problems)]
    if len(sentences) > MANY:
        sentences[MANY:] = [f"… and {len(sentences) - MANY} more rows that cannot be read."]
    return Rows(frame.filter(pl.col("value").is_not_null()), sentences)


def unread(text: pl.DataFrame, frame: pl.DataFrame, column: str, what: str) -> list[tuple[int, str]]:
    """The cells that say something of which nothing came out."""
    bad = text.filter(text[column].is_not_null() & frame[column].is_null()).select("row", column)
    return [(row, f"row {row}: '{cell}' {what}.") for row, cell in bad.iter_rows()]


def without_time(text: pl.DataFrame) -> list[int]:
    return text.filter(pl.col("start").is_null() & pl.col("value").is_not_null())["row"].to_list()
