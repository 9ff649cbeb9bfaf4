"""Answers that are written while they are read: the format, its headers, and the stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC

from flexstore.store import Store
from starlette.responses import StreamingResponse
from starlette.types import Send

from api_gateway.series import as_arrow, as_csv, as_json, as_parquet
from api_gateway.series.asking import Asked
from api_gateway.series.reading import Piece, pieces
from api_gateway.series.tables import tables

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Format:
    media_type: str
    suffix: str
    parameters: str
    written: Callable[[Asked, AsyncIterator[Piece]], AsyncIterator[bytes]]

    @property
    def is_table(self) -> bool:
        return self.media_type != JSON


FORMATS = {
    one.media_type: one
    for one in (
        Format(JSON, "json", "", as_json.written),
        Format("text/csv", "csv", "; charset=utf-8; header=present", lambda a, p: as_csv.written(a, tables(a, p))),
        Format("application/vnd.apache.parquet", "parquet", "", lambda a, p: as_parquet.written(a, tables(a, p))),
        Format("application/vnd.apache.arrow.stream", "arrows", "", lambda a, p: as_arrow.written(a, tables(a, p))),
    )
}
"""The formats there are, by media type, in the order of preference."""


async def answer(store: Store, asked: Asked, format: Format) -> StreamingResponse:
    """The answer, which begins when there is something to say: until then a failure can still be told properly."""
    parts = format.written(asked, pieces(store, asked))
    first = await anext(parts)
    headers = {"Content-Type": format.media_type + format.parameters, "Vary": "Authorization, Accept"}
    if format.is_table:
        headers["Content-Disposition"] = f'attachment; filename="{file_name(asked, format.suffix)}"'
    return Stream(first, parts, headers)


def file_name(asked: Asked, suffix: str) -> str:
    """Of what, from when, until when."""
    what = "sensors" if asked.several else f"sensor-{asked.wanted[0].id}"
    start, end = (time.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ") for time in (asked.start, asked.end))
    return f"{what}_{start}_{end}.{suffix}"


class Stream(StreamingResponse):
    """Ends its source when the client goes away."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes], headers: dict[str, str]) -> None:
        self._first = first
        self._rest = rest
        super().__init__(self._all(), headers=headers)

    async def _all(self) -> AsyncIterator[bytes]:
        yield self._first
        async for part in self._rest:
            yield part
            await asyncio.sleep(0)  # a client that takes everything at once would leave others no turn

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._rest):  # type: ignore[type-var]
            await super().stream_response(send)
