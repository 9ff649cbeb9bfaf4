"""The page docs/reference/cli.md, from the commands themselves: `python -m flexmesh.reference` prints it."""

from collections.abc import Iterator
from typing import Any

import typer.main

from flexmesh.cli import app

INTRODUCTION = """# The flexmesh command

The verbs and flags of the `flexmeasures` command work with the name changed, and there are some more. A mistake gets
one sentence on standard error and an exit code that is not zero: 2 for a wrong option or setting, 1 for all else.

Commands that need the database use the one in `FLEXMESH_DATABASE_URL`; without it, that of the running `flexmesh up`;
and if none runs, they start the database in the data directory for the moment. That directory is
`~/.local/share/flexmesh`, or what `FLEXMESH_DATA_DIR` says.

Secrets are asked for, or read from the environment: the password of a new user from `FLEXMESH_USER_PASSWORD`, the token
of a connector from `FLEXMESH_CONNECTOR_TOKEN`, and its other secrets likewise.

This page is generated from the commands: `python -m flexmesh.reference` prints it.
"""


def page() -> str:
    return "\n".join([INTRODUCTION, *sections(typer.main.get_command(app), "flexmesh")])


def sections(command: Any, path: str) -> Iterator[str]:
    """What there is to say of a command, and of those below it."""
    if hasattr(command, "commands"):
        for called, below in command.commands.items():
            if not below.hidden:
                yield from sections(below, f"{path} {called}")
        return
    shown = [parameter for parameter in command.params if not parameter.hidden and parameter.help]
    arguments = "".join(f" {name(parameter)}" for parameter in shown if parameter.param_type_name == "argument")
    yield f"## {path}{arguments}\n\n{command.help.strip()}\n"
    if shown:
        yield "| | |\n|---|---|"
        yield from (f"| {name(parameter)} | {explained(parameter)} |" for parameter in shown)
        yield ""


def name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name.upper())
    return ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))


def explained(parameter: Any) -> str:
    text = str(parameter.help).replace("|", "\\|")
    if parameter.required:
        return f"{text} Required."
    default = parameter.default
    if isinstance(default, bool) or not isinstance(default, int | float | str) or default == "":
        return text
    return f"{text} Default: `{default}`."


if __name__ == "__main__":
    print(page(), end="")
