"""Parsers of command-line arguments: moments, durations, JSON or a file of it, and lists with commas."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import typer


def to_moment(text: str) -> datetime:
    """Parse an aware moment, such as 2026-01-31T07:00+01:00."""
    from flexmodel.time import TimeError, parse_moment

    try:
        return parse_moment(text)
    except TimeError as error:
        raise typer.BadParameter(f"'{text}' is no moment like 2026-01-31T07:00+01:00. {error}") from None


def to_duration(text: str) -> timedelta:
    """Parse a duration such as PT12H or P1D. A plain number counts minutes."""
    from flexmodel.time import TimeError, parse_fixed_duration

    if text.isdigit():
        return timedelta(minutes=int(text))
    try:
        return parse_fixed_duration(text)
    except TimeError as error:
        raise typer.BadParameter(f"'{text}' is no duration like PT15M, PT12H or P1D. {error}") from None


def to_zone_name(text: str) -> str:
    from flexmodel.time import TimeError, zone

    try:
        zone(text)
    except TimeError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def to_boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise typer.BadParameter(f"'{text}' is neither True nor False.")
    return text.lower() == "true"


def parse_json_or_file(text: str) -> object:
    """Parse the text as JSON, or the content of the file of that name."""
    try:
        content = text if text.lstrip()[:1] in ("{", "[") else Path(text).read_text()
    except OSError as error:
        raise typer.BadParameter(f"'{text}' is neither JSON nor a file that can be read ({error.strerror}).") from None
    try:
        return json.loads(content)
    except ValueError as error:
        raise typer.BadParameter(f"This is not JSON: {error}.") from None


def parse_json_object(text: str) -> dict[str, Any]:
    value = parse_json_or_file(text)
    if not isinstance(value, dict):
        raise typer.BadParameter('Give a JSON object, for example {"key": "value"}.')
    return value


def make_option(parser: Callable[[str], Any], metavar: str) -> Callable[..., Any]:
    """Return a factory of options whose text the parser converts."""
    return partial(typer.Option, parser=parser, metavar=metavar)


time_option = make_option(to_moment, "TIME")
duration_option = make_option(to_duration, "DURATION")
zone_option = make_option(to_zone_name, "ZONE")
bool_option = make_option(to_boolean, "BOOL")
json_option = make_option(parse_json_or_file, "JSON")
object_option = make_option(parse_json_object, "JSON")


def split_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
