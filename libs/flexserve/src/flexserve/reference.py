"""The reference page of settings, generated from the settings classes: `python -m flexserve.reference`."""

import importlib
import inspect
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from flexserve.settings import ServiceSettings, variable

PAGE = Path("docs/reference/settings.md")
_INTRODUCTION = """\
# Settings

Flexmesh is set up with environment variables. An empty variable counts as not set. A wrong value stops the start with
exit code 2 and a sentence that names the variable.

This page is generated from the settings classes: `make docs` writes it.
"""
_TYPE_NAMES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    timedelta: "duration",
    Path: "path",
}


def page(classes: Sequence[type[ServiceSettings]]) -> str:
    """Return the page: a section per class, with the settings that it adds or gives another default."""
    return "\n".join([_INTRODUCTION, *map(_section, classes)])


def classes_in(workspace: Path) -> list[type[ServiceSettings]]:
    """Return the settings classes of all packages of the workspace (in modules `settings`), the shared one first."""
    found = {ServiceSettings}
    for path in sorted(workspace.glob("*/*/src/*/settings.py")):
        module = importlib.import_module(f"{path.parent.name}.settings")
        members = vars(module).values()
        found |= {cls for cls in members if inspect.isclass(cls) and issubclass(cls, ServiceSettings)}
    return sorted(found, key=lambda cls: (cls is not ServiceSettings, cls.__module__, cls.__name__))


def _section(cls: type[ServiceSettings]) -> str:
    where = "Every service" if cls is ServiceSettings else cls.__module__.split(".")[0].replace("_", "-")
    summary = next(iter((cls.__doc__ or "").strip().splitlines()), "")
    inherited: dict[str, FieldInfo] = getattr(cls.__base__, "model_fields", {})
    changed = {
        name: field
        for name, field in cls.model_fields.items()
        if name not in inherited or inherited[name].default != field.default
    }
    rows = [_row(name, field) for name, field in changed.items()]
    table = ["| Variable | Kind | Default | |", "|---|---|---|---|", *rows]
    return "\n".join(
        [f"## {where}", "", *([summary, ""] if summary else []), *(table if rows else ["It adds none."]), ""]
    )


def _row(name: str, field: FieldInfo) -> str:
    cells = [f"`{variable(name)}`", _kind(field.annotation), _default(field), field.description or ""]
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _kind(annotation: object) -> str:
    if annotation is SecretStr:
        return "secret"
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(annotation))
    inner = [kind for kind in get_args(annotation) if kind is not type(None)]
    if len(inner) == 1:
        return _kind(inner[0])
    return _TYPE_NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    value = field.default
    if value is None or value is PydanticUndefined:
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{to_jsonable_python(value)}`"


def main() -> None:
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(classes_in(Path())))


if __name__ == "__main__":
    main()
