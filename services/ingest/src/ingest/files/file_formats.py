"""Detection of a file's format, and access to every format as CSV. Excel and Parquet are converted in a subprocess."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from signal import SIGINT, SIGTERM
from tempfile import TemporaryDirectory
from typing import BinaryIO

from flexmodel.errors import Unavailable

from ingest.files import csv_conversion
from ingest.files.errors import FileError

LEGACY_EXCEL = b"\xd0\xcf\x11\xe0"
EXCEL, PARQUET = b"PK\x03\x04", b"PAR1"
COMPRESSORS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7-Zip",
}
# One thread is enough and saves memory. Time zones such as `+05:30` are accepted.
ENVIRONMENT = {"POLARS_MAX_THREADS": "1", "POLARS_IGNORE_TIMEZONE_PARSE_ERROR": "1", "RUST_BACKTRACE": "0"}
CONVERSION_SECONDS = 120.0
"""Longest time for converting a workbook or Parquet file."""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """FileLimits on the size of a file."""

    rows: int
    text_bytes: int
    """Size of a file as text."""
    workbook_bytes: int
    """Size of a workbook once unpacked."""
    columns: int = 1_000


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file as CSV, with the number of its first line."""

    file: BinaryIO
    first_line: int = 1


def is_compressed_format(start: bytes) -> bool:
    """Return whether a file with these first bytes is compressed, so that its size says little about its content."""
    return start.startswith((EXCEL, PARQUET))


@contextmanager
def open_as_csv(file: BinaryIO, limits: FileLimits) -> Iterator[CsvFile]:
    """Open the file as CSV. The format is detected from the first bytes, not from the name."""
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    if start.startswith(LEGACY_EXCEL):
        raise FileError("This is an old Excel file (.xls) or protected by a password. Save it as plain .xlsx or CSV.")
    compressor = next((name for sign, name in COMPRESSORS.items() if start.startswith(sign)), None)
    if compressor:
        raise FileError(f"This file is packed with {compressor}. Unpack it first.")
    if not is_compressed_format(start):
        yield CsvFile(file)
        return
    kind = "excel" if start.startswith(EXCEL) else "parquet"
    with TemporaryDirectory(prefix="flexmesh-upload-") as folder:
        converted = convert_to_csv(kind, file, limits, Path(folder))
        with converted.open("rb") as text:
            # A Parquet file has no header row, so its rows count from the one after it.
            yield CsvFile(text, first_line=0 if kind == "parquet" else 1)


def convert_to_csv(kind: str, file: BinaryIO, limits: FileLimits, folder: Path) -> Path:
    """Convert the file to CSV in a subprocess, so that a harmful file cannot affect the service."""
    source, target = folder / "source", folder / "target.csv"
    with source.open("wb") as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
    numbers = [limits.rows, limits.text_bytes, limits.workbook_bytes, limits.columns]
    command = [sys.executable, "-m", csv_conversion.__name__, kind, str(source), str(target), *map(str, numbers)]
    try:
        environment = os.environ | ENVIRONMENT
        result = subprocess.run(  # noqa: S603 - our own program, on files with names of our own
            command, env=environment, capture_output=True, timeout=CONVERSION_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FileError(f"Reading it takes longer than {CONVERSION_SECONDS:g} seconds. Save it as CSV.") from error
    if result.returncode == csv_conversion.DISK_FULL:
        raise OSError(ENOSPC, os.strerror(ENOSPC))
    if result.returncode == csv_conversion.REFUSED:
        raise FileError(result.stdout.decode())
    if result.returncode in (-SIGTERM, -SIGINT):  # sent to the whole service, when it stops
        raise Unavailable("ingest", "The service is being stopped. Please try again shortly.")
    if result.returncode:
        raise FileError("The file is damaged, or reading it takes too much memory. Save it as CSV.")
    return target
