"""PostgreSQL's binary format of rows and arrays, so that series travel without a Python object per value."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

type BeliefRows = NDArray[np.void]
"""A structured array of the type `ROW_DTYPE`."""
type DatetimeArray = NDArray[np.datetime64]
"""An array of datetime64[us], in UTC."""

ROW_DTYPE = np.dtype(
    [
        ("sensor_id", "i4"),
        ("event_start", "M8[us]"),
        ("belief_time", "M8[us]"),
        ("source_id", "i4"),
        ("cumulative_probability", "f4"),
        ("event_value", "f8"),
    ]
)
"""One row of the table `belief`."""
COLUMNS = tuple(ROW_DTYPE.names or ())

EPOCH = np.datetime64("2000-01-01", "us").astype(np.int64)
"""The origin from which PostgreSQL counts microseconds."""


def _wire_type(dtype: "np.dtype[Any]") -> str:
    """Return the type in PostgreSQL's format: big-endian, timestamps as integers."""
    return ">i8" if dtype.kind == "M" else dtype.newbyteorder(">").str


COPY_START = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
COPY_END = b"\xff\xff"
COPY_ROW = np.dtype(
    [
        ("fields", ">i2"),
        *(
            (part, kind)
            for name in COLUMNS
            for part, kind in ((f"{name} size", ">i4"), (name, _wire_type(ROW_DTYPE[name])))
        ),
    ]
)
"""The same row in the format of COPY: the number of fields, then the size and the content of each."""
COPY_ROWS = 1 << 14
"""The number of rows sent at a time: enough to be fast, few enough to need little memory."""

ARRAY_HEADER = 20
"""The number of bytes before the elements of a one-dimensional array."""


async def encode_copy(rows: BeliefRows) -> AsyncIterator[bytes]:
    """Encode rows as the binary input of COPY."""
    yield COPY_START
    for first in range(0, len(rows), COPY_ROWS):
        part = rows[first : first + COPY_ROWS]
        packed = np.empty(len(part), COPY_ROW)
        packed["fields"] = len(COLUMNS)
        for name in COLUMNS:
            packed[f"{name} size"] = ROW_DTYPE[name].itemsize
            column = part[name]
            packed[name] = column.astype(np.int64) - EPOCH if column.dtype.kind == "M" else column
        yield packed.tobytes()
    yield COPY_END


def decode_rows(record: Mapping[str, bytes | None]) -> BeliefRows:
    """Decode rows from a record that has one array per column, as `array_send` returns it."""
    columns = {name: _elements(record[name], _wire_type(ROW_DTYPE[name])) for name in COLUMNS}
    rows = np.empty(len(columns[COLUMNS[0]]), ROW_DTYPE)
    for name, column in columns.items():
        rows[name] = (column.astype(np.int64) + EPOCH).view("M8[us]") if ROW_DTYPE[name].kind == "M" else column
    return rows


def decode_float8(array: bytes | None) -> NDArray[np.float64]:
    """Decode a `float8[]`, as `array_send` returns it. NULL, the aggregate of no rows, becomes an empty array."""
    return _elements(array, ">f8").astype(np.float64)


def decode_float4(array: bytes | None) -> NDArray[np.float32]:
    """Decode a `float4[]`."""
    return _elements(array, ">f4").astype(np.float32)


def decode_int4(array: bytes | None) -> NDArray[np.int32]:
    """Decode an `int4[]`."""
    return _elements(array, ">i4").astype(np.int32)


def decode_int8(array: bytes | None) -> NDArray[np.int64]:
    """Decode an `int8[]`."""
    return _elements(array, ">i8").astype(np.int64)


def decode_timestamps(array: bytes | None) -> DatetimeArray:
    """Decode a `timestamptz[]`."""
    return (_elements(array, ">i8").astype(np.int64) + EPOCH).view("datetime64[us]")


def _elements(array: bytes | None, wire_type: str) -> NDArray[Any]:
    if array is None:
        return np.empty(0, wire_type)
    return np.frombuffer(array, _element_dtype(wire_type), offset=ARRAY_HEADER)["value"]


@cache
def _element_dtype(wire_type: str) -> np.dtype[np.void]:
    return np.dtype([("size", ">i4"), ("value", wire_type)])


def to_datetimes(times: DatetimeArray) -> list[datetime]:
    """Convert to aware Python datetimes."""
    return [time.replace(tzinfo=UTC) for time in times.tolist()]
