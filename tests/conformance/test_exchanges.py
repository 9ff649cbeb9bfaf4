"""Every recorded exchange, asked of this platform: the same status, the same keys, and the same values where told."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

HERE = Path(__file__).parent
EXCHANGES = [json.loads(line) for line in (HERE / "exchanges.jsonl").read_text().splitlines()]
DIFFERENCES = {
    difference["case"]: difference
    for difference in map(json.loads, (HERE / "differences.jsonl").read_text().splitlines())
}
SHAPES: dict[str, str] = json.loads((HERE / "shapes.json").read_text())
BATTERY = {
    "soc-at-start": "20 kWh",
    "soc-min": "5 kWh",
    "soc-max": "90 kWh",
    "power-capacity": "20 kW",
    "roundtrip-efficiency": "90%",
}
CONTEXT = {"consumption-price": {"sensor": "{price}"}, "site-power-capacity": "100 kW"}
MACROS: dict[str, dict[str, Any]] = {"$battery": BATTERY, "$context": CONTEXT}


class ConformanceServices(Protocol):
    """The services of the fixture `open_services`, as far as exchanges need them."""

    client: httpx.AsyncClient
    names: dict[str, Any]

    async def work(self) -> None: ...


type OpenServices = Callable[[str], AbstractAsyncContextManager[ConformanceServices]]


def filled(value: object, names: dict[str, Any]) -> object:
    """A part of a request with the names in it replaced by what they stand for."""
    if isinstance(value, dict):
        parts = {key: item for key, item in value.items() if key not in MACROS}
        for macro in MACROS.keys() & value.keys():
            parts = MACROS[macro] | parts
        return {key: filled(item, names) for key, item in parts.items()}
    if isinstance(value, list):
        return [filled(item, names) for item in value]
    if isinstance(value, str):
        if value in MACROS:
            return filled(MACROS[value], names)
        for name, meaning in names.items():
            if value == f"{{{name}}}":
                return meaning
            value = value.replace(f"{{{name}}}", str(meaning))
    return value


async def ask(services: ConformanceServices, case: dict[str, Any]) -> httpx.Response:
    names = services.names
    method, path = str(filled(case["do"], names)).split(" ", 1)
    options: dict[str, Any] = {"params": filled(case.get("query", {}), names)}
    if "body" in case:
        options["json"] = filled(case["body"], names)
    if "text" in case:
        options |= {"content": case["text"], "headers": {"Content-Type": "application/json"}}
    if "file" in case:
        options |= {"files": {"uploaded-files": ("values.csv", case["file"], "text/csv")}, "data": case["form"]}
    token = filled(case.get("token", "{token}"), names)
    headers = options.pop("headers", {}) | ({"Authorization": token} if token and "token" in names else {})
    answer: httpx.Response = await services.client.request(method, path, headers=headers, **options)
    return answer


async def play(database_url: str, open_services: OpenServices) -> dict[str, httpx.Response]:
    """All answers, by case."""
    answers = {}
    async with open_services(database_url) as services:
        for case in EXCHANGES:
            if case["case"].endswith(": job"):
                await services.work()
            answer = await ask(services, case)
            answers[case["case"]] = answer
            if case["case"] == "login ok":
                services.names["token"] = answer.json()["auth_token"]
            for name, key in case.get("saves", {}).items():
                if answer.is_success:
                    services.names[name] = answer.json().get(key)
    return answers


@pytest.fixture(scope="module")
def answers(module_database_url: str, open_services: OpenServices) -> dict[str, httpx.Response]:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, play(module_database_url, open_services)).result()


def expanded(keys: str | list[str]) -> set[str]:
    """The paths that `keys` tells, with the sets in them spelled out. Keys with blanks come as a list."""
    found = set()
    for path in keys.split() if isinstance(keys, str) else keys:
        before, at, name = path.partition("@")
        found |= {before + inner for inner in SHAPES[name].split()} if at else {path}
    return found


def paths(value: object, before: str = "") -> set[str]:
    """The paths of all keys in an answer; of a list, those of its first item."""
    if isinstance(value, dict):
        dot = f"{before}." if before else ""
        return {path for key, item in value.items() for path in paths(item, dot + key)}
    if isinstance(value, list):
        return paths(value[0], before + "[]") if value and isinstance(value[0], dict) else {before + "[]"}
    return {before}


def covers(path: str, other: str) -> bool:
    """Return whether `other` is the path or lies below it."""
    return other == path or other.startswith((f"{path}.", f"{path}["))


@pytest.mark.parametrize("case", EXCHANGES, ids=lambda case: case["case"])
def test_answer_is_that_of_the_reference(case: dict[str, Any], answers: dict[str, httpx.Response]) -> None:
    expected = case | DIFFERENCES.get(case["case"], {})
    answer = answers[case["case"]]
    assert answer.status_code == expected["status"], answer.text
    if expected["status"] == 204:
        assert not answer.content
        assert answer.headers["content-type"] == "application/json"
        return
    body = answer.json()
    if "keys" in expected:
        wanted, given = expanded(expected["keys"]), paths(body)
        missing = sorted(path for path in wanted if not any(covers(path, other) for other in given))
        extra = sorted(path for path in given if not any(covers(other, path) for other in wanted))
        assert not missing, f"missing: {missing} in {answer.text[:2000]}"
        assert extra == sorted(expected.get("extra", [])), f"unexpected: {extra}"
    for key, value in expected.get("exact", {}).items():
        assert body[key] == value
    if "count" in expected:
        assert len(body["values"]) == expected["count"]
    if "values" in expected:
        assert body["values"][: len(expected["values"])] == expected["values"]


def test_every_difference_has_a_reason_and_a_case() -> None:
    known = {case["case"] for case in EXCHANGES}
    assert DIFFERENCES.keys() <= known
    assert all(difference["why"] for difference in DIFFERENCES.values())
