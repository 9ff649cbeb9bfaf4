"""Rights on lists, on creating and copying things, and on passing on rights."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from gateway_house import House, JsonObject, Person, World

ASSET_WRITERS = {"own": "AMPC", "client": "AC", "foreign": "A", "public": "A"}
"""People who may create assets and sensors, by owner of the parent asset."""
LISTED: dict[str, dict[str, str]] = {
    # Owners whose things each person sees.
    "/accounts": {"A": "own client foreign", "R": "own client foreign", "M": "own", "C": "own client"},
    "/users": {"A": "own client foreign", "R": "own client foreign", "M": "own", "C": "own client"},
    "/assets": {"A": "", "R": "", "M": "own", "C": "own"},
    "/assets?all_accessible=true": {
        "A": "own client foreign public", "R": "own client foreign public", "M": "own public", "C": "own client public",
    },
    "/assets?include_public=true": {"A": "public", "M": "own public", "C": "own public"},
    "/assets/public": {"A": "public", "M": "public", "C": "public"},
    "/sensors": {"A": "", "M": "own", "C": "own"},
    "/sensors?include_public_assets=true&include_consultancy_clients=true": {
        "A": "own client foreign public", "M": "own public", "C": "own client public",
    },
}  # fmt: skip


@pytest.mark.parametrize("path", LISTED)
async def test_lists_show_only_what_may_be_seen(path: str, world: World) -> None:
    things = {place: await world.things_of(place) for place in world.accounts}
    kind = path.split("/")[1].split("?")[0].removesuffix("s")
    ids: Callable[[Any], int | None] = lambda one: one.get(kind)  # noqa: E731 - shorter than its type
    for letter, places in LISTED[path].items():
        listed = {row["id"] for row in await world.people[letter].get(path)}
        seen = {place for place, one in things.items() if ids(one) in listed}
        assert seen == set(places.split()), f"{letter} sees {seen}"


async def test_things_are_created_only_where_one_may(world: World) -> None:
    allowed = {"own": "AMC", "client": "AC", "foreign": "A", "public": "A"}
    # A consultant is a plain member at home, so may not create at the top of the own account.
    allowed["own"] = "AM"
    for place, letters in allowed.items():
        for letter, person in world.people.items():
            body = {"name": uuid4().hex, "generic_asset_type_id": 5, "account_id": world.accounts[place]}
            answer = await person.client.post("/api/v3_0/assets", json=body)
            assert answer.status_code == 201 if letter in letters else answer.status_code in (403, 422), (letter, place)
    for place, letters in ASSET_WRITERS.items():
        for letter, person in world.people.items():
            things = await world.things_of(place)
            child = {"name": "child", "generic_asset_type_id": 5, "account_id": things["account"]}
            sensor = {"name": "new", "unit": "kW", "event_resolution": "PT5M", "generic_asset_id": things["asset"]}
            for path, body in (("/assets", child | {"parent_asset_id": things["asset"]}), ("/sensors", sensor)):
                answer = await person.client.post(f"/api/v3_0{path}", json=body)
                assert (answer.status_code == 201) == (letter in letters), (letter, place, path, answer.text)


async def test_copies_are_made_only_of_and_to_what_one_may(world: World) -> None:
    sources = {place: await world.things_of(place) for place in world.accounts}
    may = {
        "M": {("own", "own"), ("public", "own")},
        "P": set(),
        "C": {("client", "client"), ("public", "client"), ("own", "client")},
    }
    for letter, pairs in may.items():
        for source, things in sources.items():
            for target in ("own", "client", "foreign"):
                params = {"account": world.accounts[target]}
                answer = await world.people[letter].client.post(
                    f"/api/v3_0/assets/{things['asset']}/copy", params=params
                )
                copied = answer.status_code == 201
                assert copied == ((source, target) in pairs), (letter, source, target, answer.status_code, answer.text)


async def test_users_are_created_only_where_one_may(world: World) -> None:
    for place, letters in {"own": "AM", "client": "AC", "foreign": "A"}.items():
        for letter, person in world.people.items():
            name = uuid4().hex
            body = {"email": f"{name}@example.com", "username": name, "account_id": world.accounts[place]}
            answer = await person.client.post("/api/v3_0/users", json=body)
            assert answer.status_code == (201 if letter in letters else 403), (letter, place, answer.text)


async def test_a_trigger_cannot_read_what_its_caller_may_not(world: World) -> None:
    own, foreign = await world.things_of("own"), await world.things_of("foreign")
    price = {"consumption-price": {"sensor": foreign["sensor"]}}
    trigger = {"start": "2026-01-01T00:00:00Z", "flex-model": {"power-capacity": "1 kW"}, "flex-context": price}
    path = f"/sensors/{own['sensor']}/schedules/trigger"
    await world.people["P"].post(path, trigger, status=403)
    await world.people["M"].patch(f"/assets/{own['asset']}", {"flex_context": price}, status=403)
    # An administrator may store the reference; that does not open the foreign sensor to others.
    await world.house.fetch("update asset set flex_context = $1 where id = $2", price, own["asset"])
    await world.people["P"].post(path, trigger | {"flex-context": {}}, status=403)
    await world.people["A"].call("POST", path, json=trigger)
    assert not await world.house.fetch(
        "select 1 from job where sensor_id = $1 and user_id <> $2", own["sensor"], world.people["A"].user_id
    )


async def test_users_cannot_raise_themselves(world: World) -> None:
    plain, manager, admin = world.people["P"], world.people["M"], world.people["A"]
    await plain.patch(f"/users/{plain.user_id}", {"timezone": "Europe/Amsterdam"})
    await plain.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": ["account-admin"]}, status=403)
    await plain.patch(f"/users/{plain.user_id}", {"active": True}, status=403)
    await manager.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": ["admin"]}, status=403)
    await manager.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": ["account-admin"]})
    await admin.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": ["admin", "account-admin"]})
    # Only administrators can take the role away, too.
    await manager.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": []}, status=403)


async def test_users_of_an_account_that_is_not_there(world: World) -> None:
    refused = await world.people["M"].get("/users", 404, account_id=99_999)
    assert refused == {"message": "Account 99999 not found", "status": 404}


async def test_administrators_cannot_lock_themselves_out(world: World) -> None:
    manager = world.people["M"]
    changes: list[JsonObject] = [{"active": False}, {"flexmeasures_roles": []}]
    for change in changes:
        await manager.patch(f"/users/{manager.user_id}", change, status=403)
    assert (await manager.get(f"/users/{manager.user_id}"))["active"]


@pytest.mark.parametrize("role", ["²", "-1", "admin "])
async def test_roles_that_there_are_not_are_named(world: World, role: str) -> None:
    body = {"flexmeasures_roles": [role]}
    answer = await world.people["M"].patch(f"/users/{world.people['P'].user_id}", body, status=422)
    assert answer["message"]["json"]["flexmeasures_roles"] == [f"No role found with ID or name {role}."]


@pytest.mark.parametrize(
    "email", ["a@b.c,evil@example.com", "<a@b.c>", "a@b.c\r\nBcc: evil@example.com", 'a"@b.c', "a\x01@b.c"]
)
async def test_a_user_has_one_address(world: World, email: str) -> None:
    body = {"email": email, "username": "new"}
    answer = await world.people["M"].post("/users", body, status=422)
    assert answer["message"]["json"] == {"email": ["Not a valid email address."]}


async def test_names_of_users_stay_on_their_line(world: World) -> None:
    body = {"username": "me\n2026-01-01 root logged in"}
    answer = await world.people["P"].patch(f"/users/{world.people['P'].user_id}", body, status=422)
    assert answer["message"]["json"] == {"username": ["Must not contain line breaks or other control characters."]}


async def test_a_key_for_one_account_takes_over_nobody_who_rules_the_platform(world: World) -> None:
    reader = world.people["R"]
    token = await world.token("A", kind="key", scopes=["admin"], account_id=reader.account_id)
    async with world.house.guest(token) as client:
        for path, body in (("", {"email": "thief@example.com"}), ("/password-reset", {})):
            answer = await client.patch(f"/api/v3_0/users/{reader.user_id}{path}", json=body)
            assert answer.status_code == 403


async def test_a_key_for_one_account_makes_nobody_rule_the_platform(world: World) -> None:
    """An administrator's key stays within its limits: it must not use the rights of its user to widen them."""
    member, admin = world.people["P"], world.people["A"]
    for only_account, status in ((world.accounts["own"], 403), (None, 200)):
        token = await world.token("A", kind="key", scopes=["admin"], account_id=only_account)
        async with world.house.guest(token) as client:
            answer = await client.patch(f"/api/v3_0/users/{member.user_id}", json={"flexmeasures_roles": ["admin"]})
        assert answer.status_code == status
    assert [
        role["name"]
        for role in await world.house.fetch(
            "select name from role join user_role on id = role_id where user_id in ($1, $2)",
            member.user_id,
            admin.user_id,
        )
    ] == ["admin", "admin"]


async def test_schedules_are_stored_only_where_the_caller_may_store(world: World) -> None:
    own, public = await world.things_of("own"), await world.things_of("public")
    window = {"start": "2026-01-01T00:00:00Z", "flex-context": {"consumption-price": "1 EUR/MWh"}}
    outputs: list[dict[str, Any]] = [
        {"flex-model": {"power-capacity": "1 kW", "consumption": {"sensor": public["sensor"]}}},
        {"flex-model": {"power-capacity": "1 kW"}, "flex-context": {"aggregate-power": {"sensor": public["sensor"]}}},
    ]
    for output in outputs:
        trigger = window | output | {"flex-context": window["flex-context"] | output.get("flex-context", {})}
        await world.people["P"].post(f"/sensors/{own['sensor']}/schedules/trigger", trigger, status=403)
    for stored in ({"flex_model": outputs[0]["flex-model"]}, {"flex_context": outputs[1]["flex-context"]}):
        await world.people["M"].patch(f"/assets/{own['asset']}", stored, status=403)
    # Public prices are there to be read.
    await world.house.fetch("update sensor set unit = 'EUR/MWh' where id = $1", public["sensor"])
    price = {"flex_context": {"consumption-price": {"sensor": public["sensor"]}}}
    await world.people["M"].patch(f"/assets/{own['asset']}", price)
    trigger = {"start": "2026-01-01T00:00:00Z", "flex-model": {"power-capacity": "1 kW"}}
    await world.people["P"].post(f"/sensors/{own['sensor']}/schedules/trigger", trigger, status=202)


NO_ASSET = {"path": {"id": ["No asset found with ID 999999."]}}
NO_SENSOR = "No sensor found with ID 999999."
UNKNOWN: dict[str, Any] = {
    # Responses about unknown things that existing clients expect: a sentence (404), or fields (422).
    "GET /accounts/999999": "Account 999999 not found",
    "PATCH /accounts/999999": "Account 999999 not found",
    "GET /accounts/999999/auditlog": "Account 999999 not found",
    "POST /accounts/999999/annotations": "Account 999999 not found",
    "GET /users/999999": "User 999999 not found",
    "PATCH /users/999999": "User 999999 not found",
    "GET /users/999999/auditlog": "User 999999 not found",
    "GET /assets/999999": "No asset found with ID 999999.",
    "PATCH /assets/999999": "No asset found with ID 999999.",
    "DELETE /assets/999999": "No asset found with ID 999999.",
    "GET /assets/999999/chart": "No asset found with ID 999999.",
    "POST /assets/999999/copy": "No asset found with ID 999999.",
    "GET /assets/999999/auditlog": NO_ASSET,
    "GET /assets/999999/jobs": NO_ASSET,
    "GET /assets/999999/sensors": NO_ASSET,
    "POST /assets/999999/annotations": NO_ASSET,
    "POST /assets/999999/schedules/trigger": {"id": NO_ASSET["path"]["id"]},
    "GET /sensors/999999": {"path": {"id": [NO_SENSOR]}},
    "PATCH /sensors/999999": {"path": {"id": [NO_SENSOR]}},
    "DELETE /sensors/999999": {"path": {"id": [NO_SENSOR]}},
    "POST /sensors/999999/annotations": {"path": {"id": [NO_SENSOR]}},
    "POST /sensors/999999/forecasts/trigger": {"combined_sensor_data_description": {"sensor": [NO_SENSOR]}},
    "POST /sensors/999999/data": "Sensor 999999 not found",
}


async def test_what_is_not_there_is_told_as_existing_clients_know_it(house: House, toy: Person) -> None:
    for route, told in UNKNOWN.items():
        method, path = route.split()
        answer = await toy.client.request(method, f"/api/v3_0{path}", json=None if method == "GET" else {})
        assert answer.json()["message"] == told, route
        assert answer.status_code == (404 if isinstance(told, str) else 422), route


async def test_what_is_forbidden_looks_the_same_everywhere(world: World) -> None:
    foreign = await world.things_of("foreign")
    body = {
        "message": "You cannot be authorized for this content or functionality.",
        "result": "Rejected",
        "status": "INVALID_SENDER",
    }
    for path in (f"/assets/{foreign['asset']}", f"/sensors/{foreign['sensor']}", f"/users/{foreign['user']}"):
        assert await world.people["M"].get(path, 403) == body


async def test_what_only_administrators_change_is_refused_in_the_same_way(world: World) -> None:
    for field, value in (("consultancy_account_id", None), ("plan_id", 1), ("account_roles", [])):
        answer = await world.people["M"].patch(f"/accounts/{world.accounts['own']}", {field: value}, status=403)
        told = f"Only administrators may change {field}."
        assert answer == {"message": told, "result": "Rejected", "status": "INVALID_SENDER"}
