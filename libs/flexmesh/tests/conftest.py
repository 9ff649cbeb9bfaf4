"""A data directory of its own for the commands under test, with an embedded database that stays between commands."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from flexmesh.cli import app
from typer.testing import CliRunner, Result

Command = Callable[..., Result]


@contextmanager
def own_directory() -> Iterator[Path]:
    """Not below pytest's directory: every run as root closes that to others, and PostgreSQL runs as another user."""
    with TemporaryDirectory(prefix="flexmesh-") as name:
        yield Path(name)


@pytest.fixture
def home() -> Iterator[Path]:
    with own_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def data_directory() -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch, own_directory() as parent:
        for name in ("FLEXMESH_DATABASE_URL", "FLEXMESH_BROKER_URL", "FLEXMESH_PORT"):
            patch.delenv(name, raising=False)
        directory = parent / "data"
        patch.setenv("FLEXMESH_DATA_DIR", str(directory))
        yield directory


@pytest.fixture(scope="module")
def flexmesh(data_directory: Path) -> Command:
    """Runs a command; fails unless it ends with the exit code that is expected."""
    runner = CliRunner()

    def run(*arguments: object, code: int = 0, answers: str | None = None) -> Result:
        result = runner.invoke(app, [str(argument) for argument in arguments], input=answers)
        assert result.exit_code == code, f"{arguments}: {result.output}\n{result.exception!r}"
        return result

    return run
