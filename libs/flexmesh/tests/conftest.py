"""A data directory of its own for the commands under test, with an embedded database that stays between commands."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flexmesh.cli import app
from typer.testing import CliRunner, Result

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FLEXMESH_DATABASE_URL", "FLEXMESH_BROKER_URL", "FLEXMESH_PORT"):
            patch.delenv(name, raising=False)
        directory = tmp_path_factory.mktemp("commands") / "data"
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
