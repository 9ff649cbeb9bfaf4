"""The scripts that install uv and Python: with uv present, and their errors when nothing can be installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A directory with only the scripts."""
    shutil.copytree(SCRIPTS, tmp_path / "repository" / "scripts")
    return tmp_path / "repository"


def bootstrap(repository: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", repository / "scripts" / "bootstrap"],
        env={**os.environ, "HOME": str(repository), "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def program(directory: Path, name: str, script: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def test_a_uv_on_the_path_is_used(repository: Path, tmp_path: Path) -> None:
    uv = program(tmp_path / "bin", "uv", "echo uv 0.13.8")
    found = bootstrap(repository, f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert (found.returncode, found.stdout.strip()) == (0, str(uv))


def test_a_uv_in_the_home_directory_is_used_when_the_one_on_the_path_is_too_old(
    repository: Path, tmp_path: Path
) -> None:
    program(tmp_path / "bin", "uv", "echo uv 0.4.2")
    uv = program(repository / ".local" / "bin", "uv", "echo uv 0.13.8")
    found = bootstrap(repository, f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert (found.returncode, found.stdout.strip()) == (0, str(uv))


def test_a_uv_fetched_before_is_used_again(repository: Path) -> None:
    uv = program(repository / ".tools" / "uv" / "bin", "uv", "echo uv 0.13.8")
    assert bootstrap(repository, "/usr/bin:/bin").stdout.strip() == str(uv)


def only(directory: Path, **programs: str | None) -> str:
    """Return a PATH with only these programs and those of every system."""
    directory.mkdir()
    basics = {name: shutil.which(name) for name in ("sh", "dirname", "mkdir", "mv", "rm", "tail")}
    for name, target in {**basics, **programs}.items():
        (directory / name).symlink_to(target or "")
    return str(directory)


def test_without_python_it_says_what_to_install(repository: Path, tmp_path: Path) -> None:
    failed = bootstrap(repository, only(tmp_path / "bin"))
    assert failed.returncode == 1
    assert "apt install python3" in failed.stderr


def test_without_a_network_it_says_so_and_leaves_nothing_half_done(repository: Path, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    away = {"https_proxy": nowhere, "http_proxy": nowhere, "PIP_RETRIES": "0", "PIP_INDEX_URL": f"{nowhere}/simple"}
    failed = bootstrap(repository, only(tmp_path / "bin", python3=sys.executable), **away)
    assert failed.returncode == 1
    assert "Check the network or the proxy" in failed.stderr
    assert [file.name for file in (repository / ".tools").iterdir()] == ["bootstrap.log"]
