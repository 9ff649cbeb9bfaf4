"""The data directory of the one-process platform: its location and files, and the lock of the platform that uses it."""

import fcntl
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flexmodel.errors import Conflict, Unavailable


def default_directory() -> Path:
    """Return FLEXMESH_DATA_DIR, or else the directory in the XDG data home of the user."""
    if chosen := os.environ.get("FLEXMESH_DATA_DIR"):
        return Path(chosen).expanduser().absolute()
    share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(share) / "flexmesh"


@dataclass(frozen=True)
class DataDirectory:
    path: Path

    @property
    def cluster(self) -> Path:
        return self.path / "postgres"

    @property
    def postgres_log(self) -> Path:
        return self.path / "postgres.log"

    @property
    def running_file(self) -> Path:
        return self.path / "running.json"

    def create(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
            (self.path / "lock").touch(mode=0o600)
        except OSError as error:
            raise Unavailable(
                "data directory",
                f"The data directory {self.path} cannot be used ({error.strerror}). "
                "Set FLEXMESH_DATA_DIR to a directory you can write to.",
            ) from None

    def secret(self, name: str) -> str:
        """Return a random secret, created on first use, in a file readable by its owner only."""
        file = self.path / name
        if not file.exists():
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_urlsafe(32))
        return file.read_text()

    def write_running(self, facts: dict[str, Any]) -> None:
        """Write the address of the running database for other commands."""
        new = self.running_file.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump(facts, stream)
        new.replace(self.running_file)

    def read_running(self) -> dict[str, Any] | None:
        """Return the facts of the platform that uses this directory, or None if none does."""
        if not Lock.is_held(self):
            return None
        try:
            facts: dict[str, Any] = json.loads(self.running_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return facts


class Lock:
    """Lock of the process that uses the data directory. The system releases it even when the process is killed."""

    def __init__(self, directory: DataDirectory) -> None:
        self.directory = directory
        self.descriptor = -1

    def acquire(self) -> None:
        descriptor = os.open(self.directory.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 20).decode().strip() or "unknown"
            os.close(descriptor)
            raise Conflict(
                f"The data directory {self.directory.path} is in use by another running platform (process {holder}). "
                "Stop that one, or set FLEXMESH_DATA_DIR to another directory."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self.descriptor = descriptor

    def release(self) -> None:
        if self.descriptor >= 0:
            self.directory.running_file.unlink(missing_ok=True)
            os.close(self.descriptor)
            self.descriptor = -1

    @staticmethod
    def is_held(directory: DataDirectory) -> bool:
        try:
            descriptor = os.open(directory.path / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False
