"""All kinds of connectors there are, by name."""

from collections.abc import Mapping

from flexmodel.errors import NotFound

from ingest.connectors.carbon_intensity import CarbonIntensity
from ingest.connectors.entsoe.kind import Entsoe
from ingest.connectors.http_json import HttpJson
from ingest.connectors.kinds import AnyKind, Listener, Puller
from ingest.connectors.mqtt.listener import Mqtt
from ingest.connectors.open_meteo import OpenMeteo
from ingest.connectors.open_weather_map import OpenWeatherMap

ALL: tuple[AnyKind, ...] = (Entsoe(), OpenMeteo(), OpenWeatherMap(), CarbonIntensity(), HttpJson(), Mqtt())
KINDS: Mapping[str, AnyKind] = {kind.name: kind for kind in ALL}
PULLED = [kind.name for kind in ALL if isinstance(kind, Puller)]
"""Those that run again and again."""
LISTENING = [kind.name for kind in ALL if isinstance(kind, Listener)]
"""Those that listen all the time."""


def kind_of(name: str) -> AnyKind:
    try:
        return KINDS[name]
    except KeyError:
        raise NotFound(f"There is no kind of connector named '{name}'. There are: {', '.join(KINDS)}.") from None
