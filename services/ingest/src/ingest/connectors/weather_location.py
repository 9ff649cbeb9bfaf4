"""Locations of weather forecasts: from the settings of a connector, or of the sensors' assets."""

from typing import Self

from pydantic import Field, model_validator

from ingest.connectors.connector_kind import ConnectorSettings, FetchRequest, Location
from ingest.connectors.fetched_series import FetchError


class LocationSettings(ConnectorSettings):
    """Settings of a connector with an optional location."""

    latitude: float | None = Field(None, ge=-90, le=90, description="Where, in degrees. Default: where the asset is.")
    longitude: float | None = Field(
        None, ge=-180, le=180, description="Where, in degrees. Default: where the asset is."
    )

    @model_validator(mode="after")
    def _is_a_place(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("Give both latitude and longitude, or neither.")
        return self


def series_by_location(settings: LocationSettings, request: FetchRequest) -> dict[Location, list[str]]:
    """Return the requested series by location: that of the settings, else that of each sensor's asset."""
    by_location: dict[Location, list[str]] = {}
    for series, sensor in request.sensors.items():
        location = request.locations.get(series)
        if settings.latitude is not None and settings.longitude is not None:
            location = Location(settings.latitude, settings.longitude)
        if location is None:
            raise FetchError(
                f"Nobody knows where sensor {sensor.id} ({sensor.name}) is: set the latitude and longitude of its "
                "asset, of an asset above it, or of this connector."
            )
        by_location.setdefault(location, []).append(series)
    return by_location
