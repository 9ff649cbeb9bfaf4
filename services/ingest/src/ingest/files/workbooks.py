"""Unpacking Excel workbooks under a limit, with a look at how far their cells are apart and which hold no value."""

import re
from collections import defaultdict
from pathlib import Path
from typing import IO
from xml.etree import ElementTree
from zipfile import ZIP_STORED, BadZipFile, ZipFile

from ingest.files.problems import FileError

CHUNK = 1 << 20
LONGEST_ROW = 8 * CHUNK
MOST_WRONG = 10_000

ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
ADDRESS = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{0,3})(\d+)["']""")
WHOLE_CELL = re.compile(rb"<(?:\w+:)?c(\s[^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", re.DOTALL)
IS_ERROR = re.compile(rb"""\st\s*=\s*["']e["']""")
IS_TEXT = re.compile(rb"""\st\s*=\s*["']str["']""")
FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")
VALUE = re.compile(rb"<(?:\w+:)?v[\s>]([^<]*)")
UNSAVED = "a formula whose value was not saved"


class Sheet:
    """What its XML tells of a sheet before anything makes room for its cells."""

    def __init__(self, most_rows: int, most_columns: int) -> None:
        self.most_rows = most_rows
        self.most_columns = most_columns
        self.wrong: dict[int, dict[int, str]] = defaultdict(dict)
        """By column and row, both from 0: cells that hold an error or a formula without a value."""
        self._rest = b""
        self._height = self._width = self._count = 0

    def read(self, chunk: bytes) -> None:
        """Look at a part of the XML. An empty one ends it."""
        if b"\0" in chunk:
            raise FileError("The workbook is not written in UTF-8. Save it again with Excel or LibreOffice, or as CSV.")
        text = self._rest + chunk
        rows = [match.start() for match in ROW.finditer(text)]
        end = rows[-1] if rows and chunk else len(text) if not chunk else 0
        self._rest = text[end:]
        if len(self._rest) > LONGEST_ROW:
            raise FileError("A row of the sheet is longer than 8 MB. Save it as CSV.")
        self._look_at(text[:end])

    def _look_at(self, text: bytes) -> None:
        """Whole rows: the reader makes room for everything between the outermost cells."""
        rows, cells, addresses = (pattern.findall(text) for pattern in (ROW, CELL, ADDRESS))
        letters, digits = ({address[part] for address in addresses} for part in (0, 1))
        self._count += len(rows)
        self._height = max([self._height, self._count, *map(int, digits)])
        self._width = max([self._width, *map(column_number, letters)])
        if len(addresses) < len(rows) + len(cells):  # cells that do not say where they are stand side by side
            self._width = max([self._width, *(len(CELL.findall(row)) for row in ROW.split(text))])
        if self._height > self.most_rows or self._width > self.most_columns:
            raise FileError(
                f"The sheet spans {self._height} rows and {self._width} columns; at most {self.most_rows} and "
                f"{self.most_columns} are read."
            )
        if FORMULA.search(text) or IS_ERROR.search(text):
            self._note_wrong(text)

    def _note_wrong(self, text: bytes) -> None:
        for cell in WHOLE_CELL.finditer(text):
            attributes, content = cell[1], cell[2] or b""
            value, address = VALUE.search(content), ADDRESS.search(attributes)
            if address is None:
                continue
            if IS_ERROR.search(attributes):
                said = (value[1] if value else b"an error").decode()
            elif FORMULA.search(content) and not IS_TEXT.search(attributes) and not (value and value[1].strip()):
                said = UNSAVED
            else:
                continue
            self.wrong[column_number(address[1]) - 1][int(address[2]) - 1] = said
            if sum(map(len, self.wrong.values())) > MOST_WRONG:
                raise FileError(f"More than {MOST_WRONG} cells hold errors, or formulas whose values were not saved.")


def column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def unpacked(given: Path, plain: Path, sheet: Sheet, most_bytes: int) -> Sheet:
    """Write the workbook with its parts stored plainly, and look at its first sheet, without room for a whole part."""
    left = most_bytes
    try:
        with ZipFile(given) as packed, ZipFile(plain, "w", ZIP_STORED) as copy:
            if "xl/workbook.xml" not in packed.namelist():
                raise FileError("This is a zip file, but not an Excel workbook (.xlsx).")
            first = first_sheet(packed)
            for part in packed.infolist():
                if not part.filename.endswith((".xml", ".rels")):
                    continue
                with packed.open(part) as content, copy.open(part.filename, "w", force_zip64=True) as target:
                    left = carry(content, target, sheet if part.filename == first else None, left, most_bytes)
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, ElementTree.ParseError) as error:
        raise FileError("The Excel file is damaged or protected by a password.") from error
    return sheet


def carry(content: IO[bytes], target: IO[bytes], sheet: Sheet | None, left: int, most_bytes: int) -> int:
    """Copy one part; how many bytes may still come after it."""
    while chunk := content.read(CHUNK):
        left -= len(chunk)
        if left < 0:
            raise FileError(f"It unpacks to more than {most_bytes / 1e6:g} MB. Save it as CSV.")
        target.write(chunk)
        if sheet is not None:
            sheet.read(chunk)
    if sheet is not None:
        sheet.read(b"")
    return left


def first_sheet(packed: ZipFile) -> str:
    """The name of the part that holds the first sheet."""
    sheets, relations = (small_part(packed, name) for name in ("xl/workbook.xml", "xl/_rels/workbook.xml.rels"))
    wanted = next(
        (value for sheet in sheets.iterfind(".//{*}sheet") for key, value in sheet.items() if key.endswith("}id")), None
    )
    for relation in relations.iterfind("{*}Relationship"):
        if relation.get("Id") == wanted:
            target = relation.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    raise FileError("There is no sheet in the workbook.")


def small_part(packed: ZipFile, name: str) -> ElementTree.Element:
    if name not in packed.namelist():
        raise FileError("The Excel file is damaged: it does not say where its sheets are.")
    with packed.open(name) as part:
        text = part.read(CHUNK + 1)
    if len(text) > CHUNK or b"<!DOCTYPE" in text:
        raise FileError("The Excel file is damaged: its table of contents makes no sense.")
    return ElementTree.fromstring(text)  # noqa: S314 - small and without entities
