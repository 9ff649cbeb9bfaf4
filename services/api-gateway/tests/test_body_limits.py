"""Large bodies: a stranger may send only little, and nothing that takes long to parse holds up others."""

import json
from collections.abc import AsyncIterator

import pytest
from api_gateway.strict_json import MAX_ELEMENTS, check_fields
from gateway_house import House, Person

JSON = {"Content-Type": "application/json"}
LOGIN = "/api/requestAuthToken"
LARGE = {
    ("POST", "/api/v3_0/sensors/{id}/data"),
    ("POST", "/api/v3_0/sensors/{id}/data/upload"),
    ("POST", "/api/v3_0/sensors/{id}/schedules/trigger"),
    ("POST", "/api/v3_0/assets/{id}/schedules/trigger"),
    ("POST", "/api/v1/data"),
    ("POST", "/api/v1/data/upload"),
    ("POST", "/api/v1/optimize"),
}


async def sent_in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1_000):
        yield b" " * 1_000


@pytest.mark.parametrize("path", [LOGIN, "/api/v1/session", "/api/v1/password-reset", "/password"])
async def test_strangers_send_little(house: House, path: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if path == "/password" else JSON
    for content in ('{"email": "' + "a" * 10_000 + '"}', sent_in_pieces(12_000)):
        answer = await house.guest().post(path, content=content, headers=headers)
        assert answer.status_code == 413
        assert "0.01 MB" in answer.text


async def test_a_caller_is_known_before_a_large_body_is_read(house: House, toy: Person) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b" " * 100_000

    for method, path in (("POST", "/api/v3_0/assets"), ("POST", "/api/v1/optimize"), ("PATCH", "/api/v3_0/users/1")):
        for caller in (house.guest(), house.guest("none of ours")):
            answer = await caller.request(method, path, content=pieces(), headers=JSON)
            assert answer.status_code == 401
    known = await toy.client.post("/api/v3_0/assets", content='{"name": "' + "a" * 5_000_000 + '"}', headers=JSON)
    assert known.status_code == 413


async def test_which_routes_take_large_bodies(house: House, toy: Person) -> None:
    """Of all routes with a body, those and no others read more than five megabytes."""
    found = set()
    for path, operations in house.app.openapi()["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                address = path.format_map({"id": "1"})
                body = b"[" + b" " * 5_000_000
                answer = await toy.client.request(method.upper(), address, content=body, headers=JSON)
                if answer.status_code != 413:
                    found.add((method.upper(), path))
    assert found == LARGE


async def test_more_elements_than_anybody_needs(toy: Person) -> None:
    body = b'{"values": [' + b"1," * (MAX_ELEMENTS + 1) + b"1]}"
    answer = await toy.client.post("/api/v1/optimize", content=body, headers=JSON)
    assert answer.status_code == 400
    assert "more than 1000000 elements" in answer.text


@pytest.mark.parametrize(
    "body",
    [
        '{"a": 1, "b": {"a": 1}, "c": [{"a": 1}, {"a": 1}]}',
        r'{"a\"": "b", "c": "\": 1, \"c\": 2", "\\": "\\"}',
        '{"a" \n:\t1}',
        '["a", "b", "a"]',
        '{"": {"": {"": ""}}}',
        '"a"',
        "1",
    ],
)
def test_bodies_without_duplicates(body: str) -> None:
    check_fields(json.loads(body), body.encode())


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "a"),
        ('[1, {"x": {"b": 1, "c": 2, "b" : 1}}]', "b"),
        (r'{"a": 1, "\u0061": 2}', "a"),
        ('{"": 1, "": 2}', ""),
        ('{"a": {"b": 1}, "a": {"b": 1, "c": 2}}', "a"),
    ],
)
def test_duplicates(body: str, name: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=f"the field '{name}' is there twice"):
        check_fields(json.loads(body), body.encode())
