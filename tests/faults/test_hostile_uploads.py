"""Files that mean harm, sent to a gateway and an ingest service as they run elsewhere: a reason, and little memory."""

import io
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import asyncpg
import httpx
import polars as pl
import pytest
from platforms import Platform, separate_processes
from waiting import eventually

MB = 2**20
MOST_MEMORY = 300 * MB
BOUNDARY = "harm"
HEAD = b"event_start,event_value\n"
ROW = b"2026-11-24T00:00:00Z,1\n"
LIMIT_MB = 60


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, module_database_url: str) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    limit = {"FLEXMESH_UPLOAD_MAX_MB": str(LIMIT_MB), "FLEXMESH_UPLOAD_AT_ONCE_MB": str(LIMIT_MB)}
    running = separate_processes(folder, module_database_url, "memory://", **limit)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def sensor(services: Platform) -> int:
    with services.login() as client:
        asset = client.get("/api/v3_0/assets").json()[0]["id"]
        body = {"name": "meter", "unit": "kW", "event_resolution": "PT15M", "generic_asset_id": asset}
        return int(client.post("/api/v3_0/sensors", json=body).json()["id"])


def most_memory(services: Platform) -> int:
    """The most that either process has ever taken."""
    peaks = []
    for name in ("gateway", "ingest"):
        status = Path(f"/proc/{services.processes[name].pid}/status").read_text()
        peaks.append(int(status.split("VmHWM:")[1].split()[0]) * 1024)
    return max(peaks)


def repeated(head: bytes, unit: bytes, size: int) -> Iterator[bytes]:
    """So many bytes of a file, made as they are sent."""
    yield head
    block = unit * (MB // len(unit))
    for _ in range(size // len(block)):
        yield block


def form(content: Iterator[bytes]) -> Iterator[bytes]:
    yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="uploaded-files"; filename="x"\r\n\r\n'.encode()
    yield from content
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture
def send(services: Platform, sensor: int) -> Iterator[Callable[..., httpx.Response]]:
    with services.login() as client:

        def upload(content: Iterator[bytes], **headers: str) -> httpx.Response:
            kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
            url = f"/api/v3_0/sensors/{sensor}/data/upload"
            return client.post(url, content=form(content), headers=kind | headers, timeout=60)

        yield upload


async def believed(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(
            await connection.fetchval("select count(*) from belief where sensor_id = (select max(id) from sensor)")
        )
    finally:
        await connection.close()


def packed(name: str, content: bytes) -> bytes:
    """A workbook of a single part."""
    made = io.BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook xmlns:r='r'><sheets><sheet r:id='1'/></sheets></workbook>")
        relation = b"<Relationships><Relationship Id='1' Target='worksheets/sheet1.xml'/></Relationships>"
        archive.writestr("xl/_rels/workbook.xml.rels", relation)
        archive.writestr(name, content)
    return made.getvalue()


def parquet(start: pl.Expr, value: pl.Expr) -> bytes:
    made = io.BytesIO()
    pl.select(start=start, value=value).write_parquet(made)
    return made.getvalue()


HARM: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "a single line": (lambda: repeated(HEAD, b"x", 50 * MB), "row 2: longer than 1 MB"),
    "a quotation mark that never closes": (lambda: repeated(HEAD + b'"', ROW, 50 * MB), "row 2: a quotation mark"),
    "many columns": (lambda: repeated(b"", b"a,", 50 * MB), "row 1: longer than 1 MB"),
    "100,000 columns": (lambda: iter([b"a," * 100_000 + b"\n", ROW]), "There are 100001 columns"),
    "nothing but text": (lambda: repeated(HEAD, b"soon,much\n", 10 * MB), "row 2: 'much' is not a number"),
    "more fields than columns": (lambda: repeated(HEAD, b"1,2,3\n", 10 * MB), "row 2: 3 fields"),
    "no lines": (lambda: iter([b""]), "empty"),
    "names only": (lambda: iter([HEAD]), "no rows with data"),
    "blank lines": (lambda: repeated(HEAD, b"\n", 10 * MB), "no rows with data"),
    "another encoding": (lambda: iter([HEAD, ROW, "\u00e4,1\n".encode("latin-1")]), "row 3: this is not UTF-8"),
    "a packed file": (lambda: iter([b"\x1f\x8b\x08", bytes(MB)]), "packed with gzip"),
    "a workbook that unpacks to gigabytes": (
        lambda: iter([packed("xl/worksheets/sheet1.xml", (b"<row>" + b" " * MB) * 300)]),
        "unpacks to more than 200 MB",
    ),
    "a workbook with two distant cells": (
        lambda: iter([packed("xl/worksheets/sheet1.xml", b"<row r='1'><c r='A1'/><c r='XFD1048576'/></row>")]),
        "The sheet spans 1048576 rows and 16384 columns",
    ),
    "Parquet that claims many rows": (
        lambda: iter([parquet(start=pl.repeat(1, 20_000_000, dtype=pl.Int8), value=pl.lit(1))]),
        "more than 10000000 rows",
    ),
    "Parquet with long texts": (
        lambda: iter([parquet(start=pl.repeat("x" * 1_000_000, 3_000), value=pl.lit(1))]),
        "too much memory",
    ),
}


@pytest.mark.parametrize("harm", HARM)
async def test_harmful_files_are_refused_with_a_reason(
    harm: str, send: Callable[..., httpx.Response], services: Platform, module_database_url: str
) -> None:
    make, reason = HARM[harm]
    answer = send(make())
    assert answer.status_code == 422, answer.text
    assert reason in answer.json()["message"]["combined_sensor_data_upload"]["uploaded-files"]["0"][0]
    assert most_memory(services) < MOST_MEMORY
    assert await believed(module_database_url) == 0


def refusals(services: Platform) -> int:
    """Return the number of requests that the gateway refused as too large."""
    return sum('"status": 413' in line or '"status":413' in line for line in services.log("gateway").splitlines())


def raw_request(services: Platform, sensor: int, head: str, body: Iterator[bytes]) -> str:
    """Return the response of the gateway, read while the body is being sent, as far as it lets us send it."""
    with services.login() as client:
        token = client.headers["Authorization"]
    with socket.create_connection((services.host, services.port), timeout=30) as wire:
        path = f"/api/v3_0/sensors/{sensor}/data/upload"
        kind = f"Authorization: {token}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}"
        wire.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{kind}\r\n{head}\r\n\r\n".encode())
        with suppress(ConnectionError):  # it closes the door before everything is said
            for part in body:
                if select.select([wire], [], [], 0)[0]:
                    break
                wire.sendall(part)
            with wire.makefile() as answer:
                return answer.read()
    return ""


async def test_a_file_that_says_it_is_too_large_is_refused_at_once(services: Platform, sensor: int) -> None:
    answer = raw_request(services, sensor, f"Content-Length: {2 * 10**9}", iter([]))
    assert answer.startswith("HTTP/1.1 413")
    assert "PAYLOAD_TOO_LARGE" in answer
    assert f"at most {LIMIT_MB} MB" in answer


async def test_one_that_does_not_say_so_is_cut_off_at_the_limit(
    services: Platform, sensor: int, module_database_url: str
) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for part in form(repeated(HEAD, ROW, 2_000 * MB)):
            sent += len(part)
            yield f"{len(part):x}\r\n".encode() + part + b"\r\n"

    refused = refusals(services)
    answer = raw_request(services, sensor, "Transfer-Encoding: chunked", endless())
    assert not answer or f"at most {LIMIT_MB} MB" in answer
    eventually(lambda: refusals(services) == refused + 1, "the refusal being logged")
    assert sent < 2 * LIMIT_MB * MB
    assert most_memory(services) < MOST_MEMORY
    assert await believed(module_database_url) == 0
