"""Alembic migrations from an empty database to the schema of `flexstore.tables`, run by `flexstore.migrate`."""

from functools import cache
from importlib.resources import files


@cache
def newest_revision() -> str:
    """Return the newest revision, by the file names of the migrations: importing them would load SQLAlchemy."""
    return max(step.name for step in files(__name__).joinpath("versions").iterdir() if step.name[0].isdigit())[:4]
