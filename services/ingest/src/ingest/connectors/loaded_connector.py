"""A connector loaded for a run: its kind, its validated settings with their secrets, and its sensors."""

from collections.abc import Mapping
from dataclasses import dataclass

from flexmodel.errors import Forbidden, Invalid
from flexserve.settings import is_secret
from flexstore.store import Store
from pydantic import SecretStr, ValidationError

from ingest.connectors import repository
from ingest.connectors.connector_kind import AnyConnectorKind, ConnectorSettings, Location
from ingest.connectors.fetched_series import FetchError
from ingest.connectors.registry import get_kind
from ingest.connectors.repository import Connector
from ingest.data.repository import Sensor

SETTING_MESSAGES = {"missing": "It must be given.", "extra_forbidden": "There is no such setting."}


@dataclass(frozen=True, slots=True)
class LoadedConnector:
    """A connector with its kind, validated settings, sensors and their locations."""

    row: Connector
    kind: AnyConnectorKind
    settings: ConnectorSettings
    sensors: Mapping[str, Sensor]
    locations: Mapping[str, Location]


async def load_connector(store: Store, connector: Connector) -> LoadedConnector:
    """Load what a connector needs for a run.

    Raises:
        Invalid: Its settings are no longer valid.
        FetchError: It has no sensors.
        Forbidden: A sensor belongs to another account.
    """
    kind = get_kind(connector.kind)
    settings = parse_settings(kind, {**connector.config, **connector.secrets})
    async with store.connection() as con:
        sensors = await repository.load_sensors(con, connector.id)
        locations = await repository.load_locations(con, connector.id)
    if not sensors:
        raise FetchError("It fills no sensor: edit it, or delete it.")
    for sensor in sensors.values():
        check_owner(sensor, connector.account_id)
    return LoadedConnector(connector, kind, settings, sensors, locations)


def check_owner(sensor: Sensor, account: int | None) -> None:
    """Refuse a sensor of another account. A connector without account only fills sensors of public assets."""
    if sensor.account == account:
        return
    fills = "public assets, for it has no account" if account is None else f"its own account {account}"
    raise Forbidden(f"This connector only fills sensors of {fills}; sensor {sensor.id} is none of them.")


def secret_fields(kind: AnyConnectorKind) -> list[str]:
    """Return the names of the settings that are secret."""
    return [name for name, field in kind.settings.model_fields.items() if is_secret(field)]


def parse_settings(kind: AnyConnectorKind, fields: Mapping[str, object]) -> ConnectorSettings:
    """Validate the settings of a connector.

    Raises:
        Invalid: Fields are wrong. The sentences have no values in them, which may be secret.
    """
    try:
        settings: ConnectorSettings = kind.settings.model_validate(dict(fields))
    except ValidationError as error:
        errors: dict[str, list[str]] = {}
        for details in error.errors(include_url=False, include_input=False):
            field = ".".join(map(str, details["loc"])) or "config"
            sentence = SETTING_MESSAGES.get(details["type"], details["msg"].removeprefix("Value error, "))
            errors.setdefault(field, []).append(sentence)
        raise Invalid(errors) from None
    return settings


def split_secrets(kind: AnyConnectorKind, settings: ConnectorSettings) -> tuple[dict[str, object], dict[str, object]]:
    """Split settings into public and secret ones for storage. Default values are left out."""
    secret_names = secret_fields(kind)
    public = settings.model_dump(mode="json", exclude=set(secret_names), exclude_defaults=True)
    values = {name: getattr(settings, name) for name in secret_names}
    return public, {name: value.get_secret_value() for name, value in values.items() if isinstance(value, SecretStr)}


def mask_secrets(text: str, secrets: Mapping[str, object]) -> str:
    """Replace all secrets in a text by `***`."""
    for secret in secrets.values():
        if isinstance(secret, str) and secret:
            text = text.replace(secret, "***")
    return text
