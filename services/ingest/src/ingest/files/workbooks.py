"""Unpacking of Excel workbooks under a size limit, with a scan of the sheet's dimensions and bad cells."""

import re
from collections import defaultdict
from pathlib import Path
from typing import IO
from xml.etree import ElementTree
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from ingest.files.errors import FileError

CHUNK_BYTES = 1 << 20
MAX_ROW_BYTES = 8 * CHUNK_BYTES
MAX_BAD_CELLS = 10_000

ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
ADDRESS = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{0,3})(\d+)["']""")
WHOLE_CELL = re.compile(rb"<(?:\w+:)?c(\s[^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", re.DOTALL)
IS_ERROR = re.compile(rb"""\st\s*=\s*["']e["']""")
IS_TEXT = re.compile(rb"""\st\s*=\s*["']str["']""")
FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
VALUE = re.compile(rb"<(?:\w+:)?v[\s>]([^<]*)")
UNSAVED = "a formula whose value was not saved"


class SheetScan:
    """Scan of a sheet's XML for its dimensions and bad cells, before memory for its cells is allocated."""

    def __init__(self, max_rows: int, max_columns: int) -> None:
        self.max_rows = max_rows
        self.max_columns = max_columns
        self.bad_cells: dict[int, dict[int, str]] = defaultdict(dict)
        """Cells with an error or with a formula without a value, by column and row, both from 0."""
        self._rest = b""
        self._height = self._width = self._count = 0

    def feed(self, chunk: bytes) -> None:
        """Scan a part of the XML. An empty part ends it."""
        if b"\0" in chunk:
            raise FileError("The workbook is not written in UTF-8. Save it again with Excel or LibreOffice, or as CSV.")
        text = self._rest + chunk
        rows = [match.start() for match in ROW.finditer(text)]
        end = rows[-1] if rows and chunk else len(text) if not chunk else 0
        self._rest = text[end:]
        if len(self._rest) > MAX_ROW_BYTES:
            raise FileError("A row of the sheet is longer than 8 MB. Save it as CSV.")
        self._scan(text[:end])

    def _scan(self, text: bytes) -> None:
        """Scan whole rows. The reader allocates memory for everything between the outermost cells."""
        rows, cells, addresses = (pattern.findall(text) for pattern in (ROW, CELL, ADDRESS))
        letters, digits = ({address[part] for address in addresses} for part in (0, 1))
        self._count += len(rows)
        self._height = max([self._height, self._count, *map(int, digits)])
        self._width = max([self._width, *map(column_number, letters)])
        if len(addresses) < len(rows) + len(cells):  # cells without an address stand side by side
            self._width = max([self._width, *(len(CELL.findall(row)) for row in ROW.split(text))])
        if self._height > self.max_rows or self._width > self.max_columns:
            raise FileError(
                f"The sheet spans {self._height} rows and {self._width} columns; at most {self.max_rows} and "
                f"{self.max_columns} are read."
            )
        if FORMULA.search(text) or IS_ERROR.search(text):
            self._record_bad_cells(text)

    def _record_bad_cells(self, xml: bytes) -> None:
        """Record cells with an error, or with a formula without a saved value."""
        for cell in WHOLE_CELL.finditer(xml):
            attributes, content = cell[1], cell[2] or b""
            value, address = VALUE.search(content), ADDRESS.search(attributes)
            if address is None:
                continue
            if IS_ERROR.search(attributes):
                text = (value[1] if value else b"an error").decode()
            elif FORMULA.search(content) and not IS_TEXT.search(attributes) and not (value and value[1].strip()):
                text = UNSAVED
            else:
                continue
            self.bad_cells[column_number(address[1]) - 1][int(address[2]) - 1] = text
            if sum(map(len, self.bad_cells.values())) > MAX_BAD_CELLS:
                raise FileError(
                    f"More than {MAX_BAD_CELLS} cells hold errors, or formulas whose values were not saved."
                )


def column_number(letters: bytes) -> int:
    """Return the number of a column by its letters, from 1."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def unpack_workbook(source: Path, target: Path, sheet: SheetScan, max_bytes: int) -> SheetScan:
    """Write the workbook with uncompressed parts, and scan its first sheet, in chunks."""
    left = max_bytes
    try:
        with ZipFile(source) as packed, ZipFile(target, "w", ZIP_STORED) as copy:
            if "xl/workbook.xml" not in packed.namelist():
                raise FileError("This is a zip file, but not an Excel workbook (.xlsx).")
            first = find_first_sheet(packed)
            for part in packed.infolist():
                if not part.filename.endswith((".xml", ".rels")):
                    continue
                with packed.open(part) as content, copy.open(part.filename, "w", force_zip64=True) as copied:
                    left = copy_part(content, copied, sheet if part.filename == first else None, left, max_bytes)
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, ElementTree.ParseError) as error:
        raise FileError("The Excel file is damaged or protected by a password.") from error
    return sheet


def copy_part(content: IO[bytes], target: IO[bytes], sheet: SheetScan | None, left: int, max_bytes: int) -> int:
    """Copy one part. Returns the number of bytes that are still allowed."""
    while chunk := content.read(CHUNK_BYTES):
        left -= len(chunk)
        if left < 0:
            raise FileError(f"It unpacks to more than {max_bytes / 1e6:g} MB. Save it as CSV.")
        target.write(chunk)
        if sheet is not None:
            sheet.feed(chunk)
    if sheet is not None:
        sheet.feed(b"")
    return left


def find_first_sheet(packed: ZipFile) -> str:
    """Return the name of the part that holds the first sheet."""
    sheets, relations = (parse_small_part(packed, name) for name in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"))
    relation_id = next(
        (value for sheet in sheets.iterfind(".//{*}sheet") for key, value in sheet.items() if key.endswith("}id")), None
    )
    for relation in relations.iterfind("{*}Relationship"):
        if relation.get("Id") == relation_id:
            target = relation.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    raise FileError("There is no sheet in the workbook.")


def parse_small_part(packed: ZipFile, name: str) -> ElementTree.Element:
    """Parse a part of the workbook, which must be small and without entities."""
    if name not in packed.namelist():
        raise FileError("The Excel file is damaged: it does not say where its sheets are.")
    with packed.open(name) as part:
        text = part.read(CHUNK_BYTES + 1)
    if len(text) > CHUNK_BYTES or b"<!DOCTYPE" in text:
        raise FileError("The Excel file is damaged: its table of contents makes no sense.")
    return ElementTree.fromstring(text)  # noqa: S314 - small and without entities
