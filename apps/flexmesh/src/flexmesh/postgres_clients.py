"""Client programs of PostgreSQL (`pg_dump`, `pg_restore`): choice of the version for a server, and running them."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from flexmodel.errors import Unavailable

from flexmesh.postgres import program_directory

DEBIAN = Path("/usr/lib/postgresql")


def program_directories() -> Iterator[Path]:
    """Yield directories that may have client programs: the path, Debian's directories, the embedded PostgreSQL."""
    for directory in os.get_exec_path():
        yield Path(directory)
    if DEBIAN.is_dir():
        yield from sorted((path / "bin" for path in DEBIAN.iterdir()), reverse=True)
    with suppress(Unavailable):
        yield program_directory()


async def find_program(program: str, server: int, *, newer: bool) -> Path:
    """Return the program of the server's version, or else, if `newer`, the oldest newer one. Raises `Unavailable`."""
    found: dict[int, Path] = {}
    for place in program_directories():
        path = shutil.which(program, path=str(place))
        if path is not None:
            found.setdefault(await get_major_version(Path(path)), Path(path))
    fitting = [number for number in found if number == server or (newer and number > server)]
    if fitting:
        return found[min(fitting)]
    there = f"there is only that of {', '.join(map(str, sorted(found)))}" if found else "there is none here"
    wanted = f"{server} or newer" if newer else str(server)
    raise Unavailable(
        "database",
        f"This needs the program {program} of PostgreSQL {wanted}, as the server is, and {there}. "
        f"Install it (Debian, Ubuntu: `apt install postgresql-client-{server}`).",
    )


async def get_major_version(program: Path) -> int:
    """Return the major version of a program, or 0 if it is unknown."""
    process = await asyncio.create_subprocess_exec(
        program, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    said, _ = await process.communicate()
    number = re.search(rb"\) (\d+)", said)
    return int(number[1]) if number else 0


async def run(program: Path, url: str, arguments: Sequence[str]) -> AsyncIterator[str]:
    """Run a program on a database and yield its lines of progress. Raises `Unavailable` with its errors if it fails."""
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    plain = urlunsplit(parts._replace(netloc=user + parts.netloc.rpartition("@")[2]))
    password = {"PGPASSWORD": unquote(parts.password)} if parts.password else {}  # not where `ps` shows it
    process = await asyncio.create_subprocess_exec(
        program,
        f"--dbname={plain}",
        *arguments,
        env=os.environ | password | {"LC_ALL": "C"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    complaints = []
    try:
        async for line in process.stderr:
            text = line.decode(errors="replace").strip()
            if re.search(r"(error|fatal|detail|hint):", text, re.IGNORECASE):
                complaints.append(text)
            yield text.partition(": ")[2]
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise Unavailable("database", f"{program.name} failed: {' '.join(complaints[:3]) or f'exit code {code}'}")
