"""What a connector is told: checked by its kind, and its secrets kept apart from the rest."""

from collections.abc import Mapping
from typing import Any

from flexmodel.errors import Invalid
from flexserve.settings import is_secret
from pydantic import SecretStr, ValidationError

from ingest.connectors.kinds import AnyKind, Settings

SENTENCES = {"missing": "It must be given.", "extra_forbidden": "There is no such setting."}


def secret_fields(kind: AnyKind) -> list[str]:
    return [name for name, field in kind.settings.model_fields.items() if is_secret(field)]


def read(kind: AnyKind, given: Mapping[str, Any]) -> Settings:
    """The settings that were given, or the fields that are wrong, without the values, which may be secret."""
    try:
        settings: Settings = kind.settings.model_validate(dict(given))
    except ValidationError as error:
        problems: dict[str, Any] = {}
        for problem in error.errors(include_url=False, include_input=False):
            where = ".".join(map(str, problem["loc"])) or "config"
            sentence = SENTENCES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
            problems.setdefault(where, []).append(sentence)
        raise Invalid(problems) from None
    return settings


def split(kind: AnyKind, settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """What may be seen and what may not, to be stored; what is as by default is left out."""
    hidden = secret_fields(kind)
    seen = settings.model_dump(mode="json", exclude=set(hidden), exclude_defaults=True)
    values = {name: getattr(settings, name) for name in hidden}
    return seen, {name: value.get_secret_value() for name, value in values.items() if isinstance(value, SecretStr)}


def mask(text: str, secrets: Mapping[str, Any]) -> str:
    """The text without any of the secrets, wherever it came from."""
    for secret in secrets.values():
        if isinstance(secret, str) and secret:
            text = text.replace(secret, "***")
    return text
