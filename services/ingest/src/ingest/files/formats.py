"""What a file holds: CSV, Excel or Parquet to one table of text, in bounded memory whatever the file says of itself."""

import re
from dataclasses import dataclass
from io import BytesIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import fastexcel
import polars as pl

MAX_COLUMNS = 50
LONGEST_CELL = 80
"""Characters: no time, number or name we look for is longer."""
SEPARATORS = ",;\t|"
OLD_EXCEL = b"\xd0\xcf\x11\xe0"
CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
ADDRESS = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{0,3})(\d+)["']""")


class FileError(ValueError):
    """The file as a whole cannot be read; says why and what would help."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file as text, in columns called `0`, `1`, …; `first` is the number of the first row."""

    rows: pl.DataFrame
    first: int = 1
    decimal_comma: bool = False
    """Whether numbers are likely to be written with a decimal comma."""
    names: tuple[str, ...] = ()
    """The columns' names, where the file's format gives them."""


@dataclass(frozen=True, slots=True)
class Limits:
    rows: int
    unpacked_bytes: int


def read(data: bytes, limits: Limits) -> Table:
    """The table in the file; its format shows from its first bytes, not from its name."""
    if data.startswith(OLD_EXCEL):
        raise FileError("This is an old Excel file (.xls). Save it as .xlsx or as CSV.")
    if data.startswith(b"PK\x03\x04"):
        table = excel(data, limits)
    elif data.startswith(b"PAR1"):
        table = parquet(data, limits)
    else:
        table = csv(data, limits)
    if table.rows.height > limits.rows:
        raise FileError(f"There are more than {limits.rows} rows. Split the file.")
    if table.rows.width > MAX_COLUMNS:
        raise FileError(f"There are more than {MAX_COLUMNS} columns. Keep the times and the values only.")
    return Table(named_by_position(table.rows), table.first, table.decimal_comma, table.names)


def named_by_position(rows: pl.DataFrame) -> pl.DataFrame:
    trimmed = rows.select(pl.all().str.slice(0, LONGEST_CELL).str.strip_chars(' \t\r"'))
    return trimmed.rename({name: str(i) for i, name in enumerate(trimmed.columns)})


# --- CSV


def csv(data: bytes, limits: Limits) -> Table:
    text = decode(data)
    if not text.strip():
        raise FileError("The file is empty.")
    body = text.lstrip("\r\n")
    first = 1 + text.count("\n", 0, len(text) - len(body))
    head = body.partition("\n")[0]
    separator = max(SEPARATORS, key=head.count)
    try:
        rows = pl.read_csv(
            body.encode(), has_header=False, infer_schema=False, separator=separator, n_rows=limits.rows + 1
        )
    except pl.exceptions.PolarsError as error:
        raise FileError(why_not_csv(body.splitlines(), first, separator)) from error
    return Table(rows, first, decimal_comma=separator != ",")


def decode(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise FileError(f"row {row}: this is not {encoding[:5].upper()} text. Save the file as UTF-8.") from error
    if "\0" in text:
        raise FileError("This is neither CSV, Excel (.xlsx) nor Parquet.")
    return text


def why_not_csv(lines: list[str], first: int, separator: str) -> str:
    """The first row with more fields than the first one, or with an open quotation mark."""
    expected = lines[0].count(separator)
    for number, line in enumerate(lines, start=first):
        if line.count('"') % 2:
            return f"row {number}: a quotation mark is opened and not closed."
        if line.count(separator) > expected and '"' not in line:
            return f"row {number}: {line.count(separator) + 1} fields, where row {first} has {expected + 1}."
    return "This is not a CSV file with the same number of fields in each row."


# --- Excel


def excel(data: bytes, limits: Limits) -> Table:
    """The first sheet of a workbook. Formulas count with the value that was last saved for them."""
    plain = unpacked(data, limits)
    try:
        sheet = fastexcel.read_excel(plain).load_sheet(0, header_row=None, dtypes="string")
        rows = sheet.to_polars()
    except (fastexcel.FastExcelError, pl.exceptions.PolarsError) as error:
        raise FileError(f"This Excel file cannot be read: {first_line(error)}.") from error
    return Table(rows)


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def unpacked(data: bytes, limits: Limits) -> bytes:
    """The workbook with its parts stored plainly, read here under a limit: a small file can unpack to gigabytes."""
    plain, left = BytesIO(), limits.unpacked_bytes
    try:
        with ZipFile(BytesIO(data)) as packed, ZipFile(plain, "w", ZIP_STORED) as copy:
            if "xl/workbook.xml" not in packed.namelist():
                raise FileError("This is a zip file, but not an Excel workbook (.xlsx).")
            for part in packed.infolist():
                if not part.filename.endswith((".xml", ".rels")):
                    continue
                left -= part.file_size
                if left < 0:
                    raise FileError(f"It unpacks to more than {limits.unpacked_bytes // 2**20} MB. Save it as CSV.")
                with packed.open(part) as file:
                    content = file.read(part.file_size + 1)
                check_size(content, limits)
                copy.writestr(part.filename, content)
    except (BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise FileError("The Excel file is damaged or protected by a password.") from error
    return plain.getvalue()


def check_size(sheet: bytes, limits: Limits) -> None:
    """Refuse sheets whose outermost cells span more than we would read: the reader makes room for all between them."""
    if b"\0" in sheet:
        raise FileError("The workbook is not written in UTF-8. Save it again with Excel or LibreOffice, or as CSV.")
    width = max(len(CELL.findall(row)) for row in ROW.split(sheet))
    height = len(ROW.findall(sheet))
    for letters, digits in set(ADDRESS.findall(sheet)):
        height = max(height, int(digits))
        width = max(width, column_number(letters.upper()))
    if height > limits.rows or width > MAX_COLUMNS:
        raise FileError(
            f"The sheet spans {height} rows and {width} columns; at most {limits.rows} and {MAX_COLUMNS} are read."
        )


def column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


# --- Parquet


def parquet(data: bytes, limits: Limits) -> Table:
    try:
        lazy = pl.scan_parquet(BytesIO(data))
        names = lazy.collect_schema().names()
        if len(names) > MAX_COLUMNS:
            raise FileError(f"There are more than {MAX_COLUMNS} columns. Keep the times and the values only.")
        rows = lazy.head(limits.rows + 1).select(*(as_text(column) for column in names_and_types(lazy))).collect()
    except pl.exceptions.PolarsError as error:
        raise FileError(f"This Parquet file cannot be read: {first_line(error)}.") from error
    return Table(rows, names=tuple(names))


def names_and_types(lazy: pl.LazyFrame) -> list[tuple[str, pl.DataType]]:
    return list(lazy.collect_schema().items())


def as_text(column: tuple[str, pl.DataType]) -> pl.Expr:
    name, kind = column
    if isinstance(kind, pl.Datetime) and kind.time_zone:
        return pl.col(name).dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%d %H:%M:%S%.fZ")
    if kind.is_nested() or kind == pl.Binary:
        return pl.lit(None, pl.String).alias(name)
    return pl.col(name).cast(pl.String)
