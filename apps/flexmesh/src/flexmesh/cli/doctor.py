"""`flexmesh doctor`: checks of the requirements of the platform."""

import typer


def doctor() -> None:
    """Check settings, database, broker, port and versions: one line each, with what would mend it."""
    from flexmesh import diagnostics

    worst = 0
    for name, problem in diagnostics.run():
        mark, color = ("ok", "green") if problem.remedy is None else ("--", "red")
        typer.secho(f"{mark}  {name}: {problem.found}", fg=color)
        if problem.remedy:
            typer.echo(f"    {problem.remedy}")
            worst = 1
    raise typer.Exit(worst)
