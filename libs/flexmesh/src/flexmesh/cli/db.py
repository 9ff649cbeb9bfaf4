"""`flexmesh db …`"""

import typer

app = typer.Typer(name="db")


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
        found = asyncio.run(migrate.current(url))
    newest = migrate.head()
    state = "the newest" if found == newest else f"the newest is {newest}: run `flexmesh db upgrade`"
    typer.echo(f"The database is at revision {found} ({state})." if found else "The database has no tables yet.")
