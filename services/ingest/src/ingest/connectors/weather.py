"""What weather services share: where the weather is asked for, and answers that are not what they should be."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import from_json

from ingest.connectors.fetched import NotFetched
from ingest.connectors.json_answers import Clock
from ingest.connectors.kinds import Ask, Place, Settings
from ingest.connectors.web import Reason

UTC_SECONDS = Clock("UTC", "s")
"""Times as numbers are seconds since 1970."""


class PlaceSettings(Settings):
    """Settings of a connector that asks for the weather somewhere."""

    latitude: float | None = Field(None, ge=-90, le=90, description="Where, in degrees. Default: where the asset is.")
    longitude: float | None = Field(
        None, ge=-180, le=180, description="Where, in degrees. Default: where the asset is."
    )

    @model_validator(mode="after")
    def _is_a_place(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("Give both latitude and longitude, or neither.")
        return self


def by_place(settings: PlaceSettings, ask: Ask) -> dict[Place, list[str]]:
    """Which series to ask for at which place: that of the settings, else that of each sensor's asset."""
    found: dict[Place, list[str]] = {}
    for series, sensor in ask.sensors.items():
        place = ask.places.get(series)
        if settings.latitude is not None and settings.longitude is not None:
            place = Place(settings.latitude, settings.longitude)
        if place is None:
            raise NotFetched(
                f"Nobody knows where sensor {sensor.id} ({sensor.name}) is: set the latitude and longitude of its "
                "asset, of an asset above it, or of this connector."
            )
        found.setdefault(place, []).append(series)
    return found


@contextmanager
def understanding(who: str) -> Iterator[None]:
    """Say in a sentence that an answer is not of the form it should have."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError):
        raise NotFetched(f"{who} sent an answer that cannot be understood.") from None


def said_in(*path: str) -> Reason:
    """Finds the text that stands there in a refusal in JSON."""

    def said(body: bytes) -> str | None:
        try:
            found = from_json(body)
            for name in path:
                found = found[name]
        except (ValueError, KeyError, IndexError, TypeError):
            return None
        return found if isinstance(found, str) else None

    return said
