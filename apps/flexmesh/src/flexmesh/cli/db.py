"""`flexmesh db …`, and `flexmesh db-ops …` for those who know dump and restore by that name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flexmesh.backup import Description

app = typer.Typer(name="db")
ops = typer.Typer(name="db-ops")

File = Annotated[Path, typer.Argument(help="The backup.", show_default=False)]


@app.command()
def upgrade() -> None:
    """Bring the database to the tables of this version. May be run twice, and by several at once."""
    import asyncio

    from flexstore import migrate

    from flexmesh.database import database_url

    with database_url() as url:
        typer.echo(f"The database is at revision {asyncio.run(migrate.upgrade(url))}.")


@app.command()
def current() -> None:
    """Show at which revision the database is."""
    import asyncio

    from flexstore import migrate

    from flexmesh.database import database_url

    with database_url() as url:
        found = asyncio.run(migrate.load_revision(url))
    newest = migrate.head_revision()
    state = "the newest" if found == newest else f"the newest is {newest}: run `flexmesh db upgrade`"
    typer.echo(f"The database is at revision {found} ({state})." if found else "The database has no tables yet.")


@app.command()
@ops.command()
def dump(
    file: Annotated[Path | None, typer.Argument(help="Where to; by default a file with today's date, here.")] = None,
) -> None:
    """Save the whole database in a file. The platform may go on working meanwhile."""
    import asyncio
    from datetime import UTC, datetime

    from flexmesh import backup
    from flexmesh.database import database_url

    into = file or Path(f"flexmesh-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}.dump")
    with database_url() as url, show_status("saving") as tell:
        described = asyncio.run(backup.dump(url, into, tell))
    megabytes = into.stat().st_size / 1e6
    typer.secho(
        f"Saved {total(described)} rows of {len(described.tables)} tables in {into} ({megabytes:.1f} MB), "
        f"and what it must contain in {backup.Description.description_path(into)}.",
        fg="green",
    )


@app.command()
@ops.command()
def restore(file: File) -> None:
    """Fill an empty database from a backup, and compare what is there then with what was saved."""
    import asyncio

    from flexmesh import backup, schema
    from flexmesh.database import database_url

    with database_url(ready=False) as url, show_status("restoring") as tell:
        found = asyncio.run(backup.restore(url, file, tell))
    compared = "They are those that were saved." if backup.Description.read(file) else "Nothing says what was saved."
    typer.secho(f"Restored {total(found)} rows of {len(found.tables)} tables. {compared}", fg="green")
    if found.revision != schema.newest_revision():
        typer.echo(f"The backup is at revision {found.revision}: run `flexmesh db upgrade`.")


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="A backup to compare with.", show_default=False)] = None,
) -> None:
    """Show how many rows each table has and their checksum, and whether a backup has the same."""
    import asyncio

    from flexmesh import backup
    from flexmesh.cli.show import table
    from flexmesh.database import database_url

    with database_url() as url, show_status("counting"):
        found, different = asyncio.run(backup.compare(url, file))
    table(("table", "rows", "checksum"), [(name, c.rows, c.checksum) for name, c in found.tables.items()])
    for sentence in different:
        typer.secho(sentence, fg="red", err=True)
    if file is not None and not different:
        typer.secho(f"This is what {file} has.", fg="green")
    if different:
        raise typer.Exit(1)


def total(described: "Description") -> int:
    return sum(content.rows for content in described.tables.values())


@contextmanager
def show_status(what: str) -> Iterator[Callable[[str], None]]:
    """Show the progress in one line of the terminal."""
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield status.update
