"""Registry of all kinds of connectors, by name."""

from collections.abc import Mapping

from flexmodel.errors import NotFound

from ingest.connectors.carbon_intensity import CarbonIntensity
from ingest.connectors.connector_kind import AnyConnectorKind, ListeningKind, PollingKind
from ingest.connectors.entsoe.connector import Entsoe
from ingest.connectors.http_json import HttpJson
from ingest.connectors.mqtt.listener import Mqtt
from ingest.connectors.open_meteo import OpenMeteo
from ingest.connectors.open_weather_map import OpenWeatherMap

ALL_KINDS: tuple[AnyConnectorKind, ...] = (
    Entsoe(),
    OpenMeteo(),
    OpenWeatherMap(),
    CarbonIntensity(),
    HttpJson(),
    Mqtt(),
)
KINDS: Mapping[str, AnyConnectorKind] = {kind.name: kind for kind in ALL_KINDS}
POLLING_KINDS = [kind.name for kind in ALL_KINDS if isinstance(kind, PollingKind)]
"""Names of the kinds that run at intervals."""
LISTENING_KINDS = [kind.name for kind in ALL_KINDS if isinstance(kind, ListeningKind)]
"""Names of the kinds that listen."""


def get_kind(name: str) -> AnyConnectorKind:
    try:
        return KINDS[name]
    except KeyError:
        raise NotFound(f"There is no kind of connector named '{name}'. There are: {', '.join(KINDS)}.") from None
