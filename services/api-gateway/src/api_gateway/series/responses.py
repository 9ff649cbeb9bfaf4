"""Responses with series: the format that the client accepts, and a body that is written while the data are read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC

from flexstore.store import Store
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Send

from api_gateway.series.arrow_format import write_arrow
from api_gateway.series.chunks import Chunk, read_chunks
from api_gateway.series.csv_format import write_csv
from api_gateway.series.json_format import write_json
from api_gateway.series.parquet_format import write_parquet
from api_gateway.series.request import SeriesRequest
from api_gateway.series.tables import Table, to_tables

JSON = "application/json"

type Chunks = AsyncIterator[Chunk]
type ChunkWriter = Callable[[SeriesRequest, Chunks], AsyncIterator[bytes]]
type TableWriter = Callable[[SeriesRequest, AsyncIterator[Table]], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class SeriesFormat:
    """A format of series: its media type, its file suffix, and the function that writes it."""

    media_type: str
    suffix: str
    parameters: str
    write: ChunkWriter

    @property
    def is_table(self) -> bool:
        return self.media_type != JSON


def from_tables(write: TableWriter) -> ChunkWriter:
    """Return a writer of chunks that makes tables of them first."""
    return lambda request, chunks: write(request, to_tables(request, chunks))


FORMATS = {
    format.media_type: format
    for format in (
        SeriesFormat(JSON, "json", "", write_json),
        SeriesFormat("text/csv", "csv", "; charset=utf-8; header=present", from_tables(write_csv)),
        SeriesFormat("application/vnd.apache.parquet", "parquet", "", from_tables(write_parquet)),
        SeriesFormat("application/vnd.apache.arrow.stream", "arrows", "", from_tables(write_arrow)),
    )
}
"""The formats by media type, in the order of preference."""


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One media range of the header `Accept`, such as `text/*;q=0.5`."""

    type: str
    subtype: str
    quality: float

    def specificity(self, media_type: str) -> int:
        """Return how specifically the range matches a media type; 0 if it does not."""
        type, _, subtype = media_type.partition("/")
        if (self.type, self.subtype) == (type, subtype):
            return 3
        if self.subtype != "*":
            return 0
        return 2 if self.type == type else int(self.type == "*")


def choose_media_type(accept: str, offered: Sequence[str]) -> str:
    """Return the media type that the client prefers, the first offered among equals.

    Raises:
        HTTPException: The client accepts none (406).
    """
    ranges = [parse_range(part) for part in accept.split(",") if part.strip()] or [MediaRange("*", "*", 1.0)]
    qualities = [quality_of(media_type, ranges) for media_type in offered]
    best = max(qualities)
    if not best:
        raise HTTPException(406, f"There is no such format here. Accept one of {', '.join(offered)}.")
    return offered[qualities.index(best)]


def quality_of(media_type: str, ranges: Sequence[MediaRange]) -> float:
    """Return the quality that the most specific matching range gives to a media type."""
    specificity, quality = max((one.specificity(media_type), one.quality) for one in ranges)
    return quality if specificity else 0.0


def parse_range(text: str) -> MediaRange:
    """Parse one media range of the header `Accept`."""
    media_type, *parameters = (part.strip().lower() for part in text.split(";"))
    type, _, subtype = media_type.partition("/")
    quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return MediaRange(type, subtype, min(max(float(quality), 0.0), 1.0))
    except ValueError:
        return MediaRange(type, subtype, 0.0)


async def series_response(store: Store, request: SeriesRequest, format: SeriesFormat) -> StreamingResponse:
    """Return the response. It begins with the first part of the body, so that earlier errors get their status."""
    parts = format.write(request, read_chunks(store, request))
    first = await anext(parts)
    headers = {"Content-Type": format.media_type + format.parameters, "Vary": "Authorization, Accept"}
    if format.is_table:
        headers["Content-Disposition"] = f'attachment; filename="{file_name(request, format.suffix)}"'
    return SeriesStreamingResponse(first, parts, headers)


def file_name(request: SeriesRequest, suffix: str) -> str:
    """Return the name of a file with the sensor, the start and the end."""
    what = "sensors" if request.several else f"sensor-{request.selections[0].id}"
    start, end = (time.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ") for time in (request.start, request.end))
    return f"{what}_{start}_{end}.{suffix}"


class SeriesStreamingResponse(StreamingResponse):
    """A streaming response that closes its source when the client disconnects."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes], headers: dict[str, str]) -> None:
        self._first = first
        self._rest = rest
        super().__init__(self._all(), headers=headers)

    async def _all(self) -> AsyncIterator[bytes]:
        yield self._first
        async for part in self._rest:
            yield part
            await asyncio.sleep(0)  # lets other requests run even if the client accepts everything at once

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._rest):  # type: ignore[type-var]  # the writers are generators
            await super().stream_response(send)
