"""The steps from an empty database to the tables of `flexstore.tables`, run by `flexstore.migrate`."""

from functools import cache
from importlib.resources import files


@cache
def newest_revision() -> str:
    """The newest revision of this version, by the names of the steps: to read them would load SQLAlchemy."""
    return max(step.name for step in files(__name__).joinpath("versions").iterdir() if step.name[0].isdigit())[:4]
