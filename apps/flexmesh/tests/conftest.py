"""Fixtures of the tests of the command: an own data directory, and `flexmesh up` in an own home."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from commands import SECONDS, Command, Up, clean_environment
from flexmesh.cli import app
from typer.testing import CliRunner, Result


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def own_directory() -> Iterator[Path]:
    """Yield a temporary directory outside pytest's, which root closes to others: PostgreSQL runs as another user."""
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


@contextmanager
def own_logs() -> Iterator[None]:
    """Remove the log handlers of other tests for the duration of the block."""
    root = logging.getLogger()
    before = root.handlers, root.level
    root.handlers, root.level = [], logging.WARNING
    try:
        yield
    finally:
        root.handlers, root.level = before


@pytest.fixture(scope="module")
def flexmesh(data_directory: Path) -> Command:
    """Runner of commands. It fails unless a command ends with the expected exit code."""
    runner = CliRunner()

    def run(*arguments: object, code: int = 0, answers: str | None = None) -> Result:
        with own_logs():
            result = runner.invoke(app, [str(argument) for argument in arguments], input=answers)
        assert result.exit_code == code, f"{arguments}: {result.output}\n{result.exception!r}"
        return result

    return run


@pytest.fixture
def environment() -> Callable[[Path], dict[str, str]]:
    return clean_environment


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Up]]:
    """Starter of platforms. Those that still run are ended after the test."""
    running: list[Up] = []

    def begin(*options: str, port: int | None = None, **settings: str) -> Up:
        running.append(Up(home, port or free_port(), *options, **settings))
        return running[-1]

    yield begin
    for up in running:
        up.process.terminate()
        up.process.wait(SECONDS)


@pytest.fixture(scope="module")
def toy_platform() -> Iterator[Up]:
    """A running platform with the toy account."""
    with own_directory() as directory:
        up = Up(directory, free_port(), "--toy")
        try:
            yield up.until("Ctrl-C stops it")
        finally:
            up.process.terminate()
            up.process.wait(SECONDS)
