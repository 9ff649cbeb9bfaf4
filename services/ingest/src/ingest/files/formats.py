"""Which format a file has, and every format as CSV: workbooks and Parquet are read by a process of limited means."""

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

from ingest.files import converting
from ingest.files.problems import FileError

OLD_EXCEL = b"\xd0\xcf\x11\xe0"
EXCEL, PARQUET = b"PK\x03\x04", b"PAR1"
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip"}
# One thread is enough, and keeps what each of them sets aside in memory small. Zones such as `+05:30` are times too.
ENVIRONMENT = {"POLARS_MAX_THREADS": "1", "POLARS_IGNORE_TIMEZONE_PARSE_ERROR": "1", "RUST_BACKTRACE": "0"}
SECONDS = 120.0
"""How long reading a workbook or Parquet file may take."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is read at most."""

    rows: int
    text_bytes: int
    """The size of a file once it is text."""
    workbook_bytes: int
    """The size of a workbook once it is unpacked."""
    columns: int = 1_000


@dataclass(frozen=True, slots=True)
class Csv:
    """A file as CSV; `first` is the number of its first line."""

    file: BinaryIO
    first: int = 1


def is_packed(start: bytes) -> bool:
    """Whether a file that starts so is much smaller than what is in it."""
    return start.startswith((EXCEL, PARQUET))


@contextmanager
def as_csv(file: BinaryIO, limits: Limits) -> Iterator[Csv]:
    """The file as CSV; its format shows from its first bytes, not from its name."""
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    if start.startswith(OLD_EXCEL):
        raise FileError("This is an old Excel file (.xls) or protected by a password. Save it as plain .xlsx or CSV.")
    packer = next((name for sign, name in PACKED.items() if start.startswith(sign)), None)
    if packer:
        raise FileError(f"This file is packed with {packer}. Unpack it first.")
    if not is_packed(start):
        yield Csv(file)
        return
    kind = "excel" if start.startswith(EXCEL) else "parquet"
    with TemporaryDirectory(prefix="flexmesh-upload-") as folder:
        converted = convert(kind, file, limits, Path(folder))
        with converted.open("rb") as text:
            # A Parquet file has no row of names, so its rows count from the one after it.
            yield Csv(text, first=0 if kind == "parquet" else 1)


def convert(kind: str, file: BinaryIO, limits: Limits, folder: Path) -> Path:
    """The file as CSV, written by a process of its own: whatever is wrong with it harms nothing else."""
    given, made = folder / "given", folder / "made.csv"
    with given.open("wb") as copy:
        shutil.copyfileobj(file, copy, 1 << 20)
    numbers = [limits.rows, limits.text_bytes, limits.workbook_bytes, limits.columns]
    command = [sys.executable, "-m", converting.__name__, kind, str(given), str(made), *map(str, numbers)]
    try:
        environment = os.environ | ENVIRONMENT
        done = subprocess.run(  # noqa: S603 - our own program, on files that we named
            command, env=environment, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FileError(f"Reading it takes longer than {SECONDS:g} seconds. Save it as CSV.") from error
    if done.returncode == converting.NO_ROOM:
        raise OSError(ENOSPC, os.strerror(ENOSPC))
    if done.returncode == converting.REFUSED:
        raise FileError(done.stdout.decode())
    if done.returncode in (-SIGTERM, -SIGINT):  # which the whole service is told, not by us
        raise Unavailable("ingest", "The service is being stopped. Please try again shortly.")
    if done.returncode:
        raise FileError("The file is damaged, or reading it takes too much memory. Save it as CSV.")
    return made
