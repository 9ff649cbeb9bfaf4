"""Bodies that are wrong in every way people think of, sent to every operation that takes one.

Each is the example of the operation with something spoiled. The answer must be a refusal that names what is wrong, and
come soon, and nothing may be stored.
"""

import asyncio
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
import psutil
import pytest
import requests
from api_gateway.body_limits import STRANGER_BYTES
from asker import Asker
from platforms import Platform

WITHOUT_LOGIN = ("/api/requestAuthToken", "/api/v1/session", "/api/v1/password-reset")
LATEST = 3.0
"""Seconds after which an answer is too late. Usually they take milliseconds; the machine may be busy."""
UNCOUNTED = {"rate_limit", "idempotency_key", "token", "outbox", "job"}
"""Tables that change for other reasons: limits are counted, tokens are used, jobs are done."""
DEEP = "[" * 100_000
HUGE = 10**30
WRONG_MOMENTS = [
    "2026-02-30T00:00:00+01:00",
    "2026-03-02T00:00:00",
    "2026-13-01T00:00:00Z",
    "yesterday",
    "0000-01-01T00:00Z",
]
WRONG_DURATIONS = ["P1000Y", "-PT1H", "PT" + "9" * 99 + "H", "1 hour", "P99999999999D"]
WITHOUT_BODY = ("DELETE /api/v3_0/sensors/{id}/data", "POST /api/v1/webhooks/{id}/secret")
FITTING = {(operation, how) for operation in WITHOUT_BODY for how in ("nothing", "null")}
"""Bodies that are not wrong for these operations."""


@dataclass(frozen=True)
class Spoiled:
    """A body that must be refused, and the field to be named if that can be told."""

    how: str
    body: bytes
    field: str | None = None


def spoiled(example: dict[str, Any] | list[dict[str, Any]], schema: dict[str, Any]) -> Iterator[Spoiled]:
    text = json.dumps(example)
    yield Spoiled("truncated", text[:-1].encode())
    yield Spoiled("nothing", b"")
    yield Spoiled("deep", DEEP.encode())
    yield Spoiled("deep field", f'{{"x": {DEEP}}}'.encode())
    yield Spoiled("not a number", b'{"x": NaN}')
    yield Spoiled("infinite", b'{"x": -Infinity}')
    yield Spoiled("too large a number", b'{"x": 1e999}')
    yield Spoiled("not UTF-8", b'{"x": "\xff\xfe"}')
    yield Spoiled("half a character", b'{"x": "\\ud800"}')
    yield Spoiled("UTF-16", text.encode("utf-16"))
    yield Spoiled("a number", b"7")
    yield Spoiled("null", b"null")
    listed = isinstance(example, list)
    yield Spoiled("another shape", b"{}" if listed else b"[]")
    one = example[0] if isinstance(example, list) else example
    fields = (schema.get("items", {}) if listed else schema).get("properties", {})
    for case in spoiled_fields(one, fields):
        # The error of one item of many may be reported for all of them together.
        yield Spoiled(case.how, b"[" + case.body + b"]") if listed else case


def spoiled_fields(example: dict[str, Any], schemas: dict[str, Any]) -> Iterator[Spoiled]:
    def changed(name: str, how: str, wrong: object) -> Spoiled:
        return Spoiled(f"{name}: {how}", json.dumps(example | {name: wrong}).encode(), name)

    text = json.dumps(example)
    yield Spoiled("the same field twice", f"{text[:-1]}, {text[1:]}".encode(), next(iter(example)))
    yield changed("no such field", "unknown", 1)
    for name, value in example.items():
        schema = schemas.get(name, {})
        kinds = {part.get("format") for part in [schema, *schema.get("anyOf", [])]}
        yield changed(name, "a strange list", [{"a": 1}])
        if isinstance(value, str):
            yield Spoiled(f"{name}: NUL", json.dumps(example | {name: "a\0b"}).encode())
            yield changed(name, "a number", 3.5)
        if "date-time" in kinds:
            yield from (changed(name, "a moment", wrong) for wrong in WRONG_MOMENTS)
        if "duration" in kinds:
            yield from (changed(name, "a duration", wrong) for wrong in WRONG_DURATIONS)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield from (changed(name, "huge", wrong) for wrong in (HUGE, -HUGE, "many"))


def writing(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Every operation that takes JSON: method, path, example and schema of the body."""
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content:
                schema = content["schema"]
                named = schemas.get(schema.get("$ref", "").rpartition("/")[2], schema)
                yield method.upper(), path, content.get("example"), named


async def counted(database_url: str) -> dict[str, int]:
    """Return the number of rows of every table."""
    con = await asyncpg.connect(database_url)
    tables = await con.fetch("select tablename from pg_tables where schemaname = 'public'")
    names = sorted(row["tablename"] for row in tables if row["tablename"] not in UNCOUNTED)
    counts = {name: await con.fetchval(f'select count(*) from "{name}"') for name in names}
    await con.close()
    return counts


def placed(asker: Asker, path: str) -> str:
    """Return the path with ids of existing things."""
    before, brace, rest = path.partition("{")
    if not brace:
        return path
    name, _, after = rest.partition("}")
    known = asker.things["job" if name in ("uuid", "job") else before]
    return placed(asker, f"{before}{known[-1] if known else 1}{after}")


def test_every_body_is_checked(new_asker: Callable[[str], Asker], subtests: pytest.Subtests) -> None:
    asker = new_asker("admin")
    asker.settle()
    document = requests.get(f"{asker.address}/openapi.json").json()
    before = asyncio.run(counted(asker.database_url))
    asked = 0
    for method, path, example, schema in writing(document):
        where = asker.address + placed(asker, path)
        if "/assets/{id}/schedules" in path:
            example["flex-model"][0]["sensor"] = asker.things["/api/v3_0/sensors/"][-1]
        for case in spoiled(example, schema):
            if (f"{method} {path}", case.how) in FITTING:
                continue
            with subtests.test(f"{method} {path}", how=case.how):
                began = time.monotonic()
                answer = asker.session.request(
                    method, where, data=case.body, headers={"Content-Type": "application/json"}, timeout=20
                )
                too_large = path in WITHOUT_LOGIN and len(case.body) > STRANGER_BYTES
                assert answer.status_code in ((413,) if too_large else (400, 422)), answer.text[:500]
                assert time.monotonic() - began < LATEST
                body = answer.json()
                assert body.get("message") or body.get("detail")
                if case.field:
                    assert case.field in answer.text, answer.text[:500]
                asked += 1
    assert asked > 500
    assert asyncio.run(counted(asker.database_url)) == before


def test_every_body_must_be_json(new_asker: Callable[[str], Asker], subtests: pytest.Subtests) -> None:
    asker = new_asker("admin")
    asker.settle()
    document = requests.get(f"{asker.address}/openapi.json").json()
    for method, path, example, _schema in writing(document):
        for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
            with subtests.test(f"{method} {path}", kind=kind):
                where = asker.address + placed(asker, path)
                answer = asker.session.request(method, where, data=json.dumps(example), headers={"Content-Type": kind})
                assert answer.status_code in (415, 422), answer.text
                assert "application/json" in answer.text


LARGE = 50_000_000
PIECE = b"[" + b"1," * 499_999 + b"1"


def ask_with_large_body(asker: Asker, method: str, path: str, *, announced: bool) -> int:
    """Return the status of the response to 50 MB, which may come before all of them are sent."""
    host, _, port = asker.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        size = f"Content-Length: {LARGE}" if announced else "Transfer-Encoding: chunked"
        token = asker.session.headers["Authorization"]
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: x",
            "Content-Type: application/json",
            f"Authorization: {token}",
            size,
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        with suppress(ConnectionError):
            for _ in range(LARGE // len(PIECE)):
                connection.sendall(PIECE if announced else b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
                if select.select([connection], [], [], 0)[0]:
                    break
        with suppress(ConnectionError):
            return int(connection.recv(1000).split()[1])
    return 0


def test_large_bodies_cost_little(
    new_asker: Callable[[str], Asker], platform_to_ask: Platform, subtests: pytest.Subtests
) -> None:
    asker = new_asker("admin")
    asker.settle()
    process = psutil.Process(platform_to_ask.processes["up"].pid)
    before = process.memory_info().rss
    for path in (
        "/api/v3_0/assets",
        "/api/v3_0/sensors/{id}/data",
        "/api/v3_0/assets/{id}/schedules/trigger",
        "/api/v1/optimize",
    ):
        for announced in (True, False):
            with subtests.test(path, announced=announced):
                began = time.monotonic()
                assert ask_with_large_body(asker, "POST", placed(asker, path), announced=announced) in (413, 0)
                assert time.monotonic() - began < LATEST
    assert ask_with_large_body(asker, "GET", "/api/v3_0/assets", announced=True) == 200
    assert process.memory_info().rss < before + 150_000_000
