"""The embedded PostgreSQL: first start, second start, after a crash, beside another one, and of another version."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import psutil
import pytest
from flexmesh.data_directory import DataDirectory, Lock
from flexmesh.postgres import Postgres
from flexmodel.errors import Conflict
from waiting import until


@pytest.fixture
def directory(home: Path) -> DataDirectory:
    data = DataDirectory(home / "data")
    data.create()
    return data


@pytest.fixture
def postgres(directory: DataDirectory) -> Iterator[Postgres]:
    server = Postgres(directory)
    yield server
    server.stop()


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_what_was_stored_is_there_after_a_restart(postgres: Postgres) -> None:
    url = postgres.start()
    await ask(url, "create table thing (name text)")
    await ask(url, "insert into thing values ('Ärger')")
    postgres.stop()
    url = postgres.start()
    assert await ask(url, "select lower(name) from thing") == "ärger"


async def test_a_stopped_server_leaves_no_process(postgres: Postgres) -> None:
    postgres.start()
    assert postgres.process is not None
    started = psutil.Process(postgres.process.pid)
    children = started.children(recursive=True)
    postgres.stop()
    assert not started.is_running()
    assert not [child for child in children if child.is_running()]


async def test_it_listens_on_loopback_only_and_wants_its_password(postgres: Postgres) -> None:
    url = postgres.start()
    assert await ask(url, "show listen_addresses") == "127.0.0.1"
    password = (postgres.directory.path / "postgres-password").read_text()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(url.replace(password, "guess"), "select 1")


def test_secrets_are_for_the_owner_only(directory: DataDirectory) -> None:
    secret = directory.secret("service-token")
    assert len(secret) > 30
    assert directory.secret("service-token") == secret
    assert stat.S_IMODE((directory.path / "service-token").stat().st_mode) == 0o600


CRASH = """
import os, sys, signal
from pathlib import Path
from flexmesh.data_directory import DataDirectory, Lock
from flexmesh.postgres import Postgres

directory = DataDirectory(Path(sys.argv[1]))
Lock(directory).acquire()
server = Postgres(directory)
print(server.start(), server.process.pid, flush=True)
sys.stdin.read()
"""


def start_elsewhere(directory: DataDirectory) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A platform in another process, and its PostgreSQL."""
    command = [sys.executable, "-c", CRASH, str(directory.path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, psutil.Process(int(process.stdout.readline().split()[1]))


async def test_it_starts_again_after_the_platform_was_killed(directory: DataDirectory, postgres: Postgres) -> None:
    process, orphan = start_elsewhere(directory)
    process.kill()
    process.wait()
    assert orphan.is_running()
    lock = Lock(directory)
    lock.acquire()
    assert await ask(postgres.start(), "select 1") == 1
    assert not orphan.is_running()
    lock.release()


async def test_it_starts_again_after_both_were_killed(directory: DataDirectory, postgres: Postgres) -> None:
    process, orphan = start_elsewhere(directory)
    os.kill(orphan.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    assert (directory.cluster / "postmaster.pid").exists()
    assert await ask(postgres.start(), "select 1") == 1


async def test_it_is_started_again_where_it_was_when_it_is_killed(postgres: Postgres) -> None:
    url = postgres.start()
    await ask(url, "create table thing as select 'Ärger' as name")
    killed = postgres.process
    assert killed is not None
    killed.kill()

    async def is_back() -> bool:
        with suppress(OSError, asyncpg.PostgresError):
            return await ask(url, "select name from thing") == "Ärger"
        return False

    await until(is_back)
    assert postgres.process is not None
    started = psutil.Process(postgres.process.pid)
    assert started.pid != killed.pid
    postgres.stop()
    assert not started.is_running()


def test_a_pid_that_now_belongs_to_another_program_is_left_alone(directory: DataDirectory, postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    with subprocess.Popen(["sleep", "60"]) as innocent:
        (directory.cluster / "postmaster.pid").write_text(f"{innocent.pid}\n{directory.cluster}\n")
        postgres.stop_leftover()
        assert innocent.poll() is None
        innocent.kill()


async def test_two_platforms_cannot_share_a_directory(directory: DataDirectory) -> None:
    process, _ = start_elsewhere(directory)
    try:
        with pytest.raises(Conflict, match=rf"in use by another running platform \(process {process.pid}\)"):
            Lock(directory).acquire()
        assert Lock.is_held(directory)
    finally:
        process.kill()
        process.wait()
        leftover = Postgres(directory)
        leftover.stop_leftover()
    assert not Lock.is_held(directory)


async def test_files_of_another_version_are_refused_with_the_mend(postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.directory.cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(Conflict, match=r"made by PostgreSQL 15, .* brings PostgreSQL 18.*FLEXMESH_DATA_DIR"):
        postgres.start()


async def test_a_half_made_cluster_is_made_anew(directory: DataDirectory, postgres: Postgres) -> None:
    half = directory.cluster.with_suffix(".new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    assert await ask(postgres.start(), "select 1") == 1


async def test_a_broken_cluster_is_reported_with_the_reason(directory: DataDirectory, postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    (directory.cluster / "postgresql.conf").write_text("shared_buffers = nonsense\n")
    with pytest.raises(Exception, match=r"PostgreSQL did not start: .*postgresql\.conf"):
        postgres.start()
