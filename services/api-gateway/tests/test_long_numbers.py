"""Numbers of thousands of digits, which Python itself refuses to convert, wherever a number may stand."""

import pytest
from gateway_house import House, Person

LONG = "9" * 5_000
BEYOND = ("9" * 19, LONG)


@pytest.mark.parametrize("number", BEYOND, ids=len)
async def test_in_paths_and_queries(house: House, toy: Person, number: str) -> None:
    failed = []
    for path, operations in house.app.openapi()["paths"].items():
        for method, operation in operations.items():
            parameters = [one for one in operation.get("parameters", []) if one["in"] in ("path", "query")]
            names = {one["name"]: number for one in parameters}
            address = path.format_map(dict.fromkeys(names, number))
            query = {one["name"]: number for one in parameters if one["in"] == "query"}
            if operation["operationId"].startswith("stream"):
                continue
            answer = await toy.client.request(method.upper(), address, params=query, json={})
            if answer.status_code >= 500:
                failed.append(f"{method} {path}: {answer.status_code} {answer.text[:100]}")
    assert not failed


@pytest.mark.parametrize("number", BEYOND, ids=len)
async def test_in_bodies_and_headers(house: House, toy: Person, number: str) -> None:
    admin = await house.person("admin", toy.account_id, "admin")
    roles = await admin.client.patch(f"/api/v3_0/users/{toy.user_id}", json={"flexmeasures_roles": [number]})
    assert roles.status_code == 422
    assert f"No role found with ID or name {number}." in roles.text
    events = await toy.client.get("/api/v1/events", headers={"Last-Event-ID": number})
    assert events.status_code == 422
    bare = f'{{"name": "x", "account_id": {number}, "generic_asset_type_id": {number}}}'
    asset = await toy.client.post("/api/v3_0/assets", content=bare, headers={"Content-Type": "application/json"})
    assert asset.status_code in (400, 422)
