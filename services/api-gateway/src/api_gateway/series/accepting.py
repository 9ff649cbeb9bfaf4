"""Which format to answer in: what the client accepts most, of what there is."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException


@dataclass(frozen=True, slots=True)
class Range:
    """One media range of the header `Accept`, such as `text/*;q=0.5`."""

    type: str
    subtype: str
    quality: float

    def fit(self, media_type: str) -> int:
        """How exactly it means the media type; 0: not at all."""
        type, _, subtype = media_type.partition("/")
        if (self.type, self.subtype) == (type, subtype):
            return 3
        if self.subtype != "*":
            return 0
        return 2 if self.type == type else int(self.type == "*")


def chosen(accept: str, offered: Sequence[str]) -> str:
    """The media type that is accepted most, the first offered among equals. Refused with 406 if there is none."""
    ranges = [read(part) for part in accept.split(",") if part.strip()] or [Range("*", "*", 1.0)]
    qualities = [quality_of(media_type, ranges) for media_type in offered]
    best = max(qualities)
    if not best:
        raise HTTPException(406, f"There is no such format here. Accept one of {', '.join(offered)}.")
    return offered[qualities.index(best)]


def quality_of(media_type: str, ranges: Sequence[Range]) -> float:
    """What the range that means it most exactly gives it."""
    fits = [(one.fit(media_type), one.quality) for one in ranges]
    exactness, quality = max(fits)
    return quality if exactness else 0.0


def read(part: str) -> Range:
    media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
    type, _, subtype = media_type.partition("/")
    quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
    try:
        return Range(type, subtype, min(max(float(quality), 0.0), 1.0))
    except ValueError:
        return Range(type, subtype, 0.0)
