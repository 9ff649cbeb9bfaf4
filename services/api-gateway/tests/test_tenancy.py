"""Who may do what to whose things: every route, every kind of person, every kind of owner, from one table."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from api_gateway.auth.access import Public, Requirement
from api_gateway.home.versions import SUNSET_VERSIONS
from fastapi import FastAPI
from fastapi.routing import APIRoute
from flexstore import jobs

# People: Admin, admin-Reader (both of an account of their own), and four of one account: account-adMin, Plain member,
# Viewer (the role account-reader) and Consultant. Their account is the consultancy of the client's.
RIGHTS: dict[str, dict[str, str]] = {
    "account.read": {"own": "ARMPVC", "client": "ARC", "foreign": "AR"},
    "account.audit": {"own": "ARMV", "client": "ARC", "foreign": "AR"},
    "account.feed": {"own": "AM", "client": "AC", "foreign": "A"},
    "account.update": {"own": "AM", "client": "AC", "foreign": "A"},
    "user.read": {"own": "ARMPVC", "client": "ARC", "foreign": "AR"},
    "user.audit": {"own": "ARMV", "client": "ARC", "foreign": "AR"},
    "user.update": {"own": "AM", "client": "AC", "foreign": "A"},
    "asset.read": {"own": "ARMPVC", "client": "ARC", "foreign": "AR", "public": "ARMPVC"},
    "asset.audit": {"own": "ARMV", "client": "ARC", "foreign": "AR", "public": "AR"},
    "asset.write": {"own": "AMPC", "client": "AC", "foreign": "A", "public": "A"},
    "asset.delete": {"own": "AM", "client": "A", "foreign": "A", "public": "A"},
    "sensor.read": {"own": "ARMPVC", "client": "ARC", "foreign": "AR", "public": "ARMPVC"},
    "sensor.write": {"own": "AMPC", "client": "AC", "foreign": "A", "public": "A"},
    "sensor.update": {"own": "AM", "client": "AC", "foreign": "A", "public": "A"},
    "sensor.delete": {"own": "AM", "client": "A", "foreign": "A", "public": "A"},
    "job.read": {"own": "ARMPVC", "client": "ARC", "foreign": "AR"},
}
ROUTES: dict[str, str] = {
    "GET /accounts/{id}": "account.read",
    "GET /accounts/{id}/auditlog": "account.audit",
    "PATCH /accounts/{id}": "account.update",
    "POST /accounts/{id}/annotations": "account.feed",
    "GET /users/{id}": "user.read",
    "GET /users/{id}/auditlog": "user.audit",
    "PATCH /users/{id}": "user.update",
    "PATCH /users/{id}/password-reset": "user.update",
    "GET /assets/{id}": "asset.read",
    "GET /assets/{id}/auditlog": "asset.audit",
    "GET /assets/{id}/chart": "asset.read",
    "GET /assets/{id}/chart_annotations": "asset.read",
    "GET /assets/{id}/chart_data": "asset.read",
    "GET /assets/{id}/jobs": "asset.read",
    "GET /assets/{id}/kpis": "asset.read",
    "GET /assets/{id}/sensors": "asset.read",
    "PATCH /assets/{id}": "asset.write",
    "POST /assets/{id}/annotations": "asset.write",
    "POST /assets/{id}/schedules/trigger": "asset.write",
    "DELETE /assets/{id}": "asset.delete",
    "GET /sensors/{id}": "sensor.read",
    "GET /sensors/{id}/data": "sensor.read",
    "GET /sensors/{id}/stats": "sensor.read",
    "GET /sensors/{id}/status": "sensor.read",
    "GET /sensors/{id}/schedules/{uuid}": "sensor.read",
    "GET /sensors/{id}/forecasts/{uuid}": "sensor.read",
    "POST /sensors/{id}/data": "sensor.write",
    "POST /sensors/{id}/data/upload": "sensor.write",
    "POST /sensors/{id}/annotations": "sensor.write",
    "POST /sensors/{id}/schedules/trigger": "sensor.write",
    "POST /sensors/{id}/forecasts/trigger": "sensor.write",
    "PATCH /sensors/{id}": "sensor.update",
    "DELETE /sensors/{id}": "sensor.delete",
    "DELETE /sensors/{id}/data": "sensor.delete",
    "GET /jobs/{uuid}": "job.read",
}
OF_NOBODY = {
    "GET /accounts", "POST /accounts", "GET /users", "POST /users", "GET /assets", "POST /assets", "GET /assets/public",
    "GET /assets/types", "POST /assets/default_asset_view", "POST /assets/keep_legends_below_graphs", "GET /sensors",
    "POST /sensors", "GET /sources", "GET /health/ready", "GET ", "POST /assets/{id}/copy",
}  # fmt: skip
"""Routes about no particular thing; what they create and list is tested further down."""
PUBLIC = {
    "GET /", "GET /api", "GET /api/", "GET /api/v3_0", "GET /api/v3_0/health/ready", "GET /api/ops/ping", "GET /docs",
    "POST /api/requestAuthToken", "GET /password", "POST /password", "GET /api/v3_0/assets/types",
}  # fmt: skip
ROLES = {"M": "account-admin", "P": None, "V": "account-reader", "C": "consultant"}


@dataclass
class Things:
    """One of everything, of one owner."""

    account: int | None
    user: int | None
    asset: int
    sensor: int
    job: str


@dataclass
class World:
    house: Any
    people: dict[str, Any]
    accounts: dict[str, int | None]

    async def things_of(self, place: str) -> Things:
        """Fresh things, so that what one person deletes is not missed by the next."""
        account, name = self.accounts[place], uuid4().hex
        async with self.house.store.transaction() as con:
            user = account and await con.fetchval(
                "insert into users (account_id, email, username, password_hash) values ($1, $2, $2, '') returning id",
                account, f"{name}@example.com",
            )  # fmt: skip
            asset = await con.fetchval(
                "insert into asset (name, account_id, asset_type_id) values ($1, $2, 5) returning id", name, account
            )
            sensor = await con.fetchval(
                "insert into sensor (name, asset_id, unit, event_resolution) values ('p', $1, 'kW', $2) returning id",
                asset,
                timedelta(minutes=15),
            )
            job = await jobs.create(con, queue="schedule", request={}, account_id=account, asset_id=asset)
        return Things(account, user, asset, sensor, str(job))


@pytest.fixture
async def world(house: Any) -> AsyncIterator[World]:
    own, platform = await house.account("own"), await house.account("platform")
    accounts = {"own": own, "client": await house.account("client", own), "foreign": await house.account("foreign")}
    people = {letter: await house.person(letter, own, *([role] if role else [])) for letter, role in ROLES.items()}
    people["A"] = await house.person("A", platform, "admin")
    people["R"] = await house.person("R", platform, "admin-reader")
    yield World(house, people, accounts | {"public": None})


def routes(app: FastAPI) -> list[tuple[str, APIRoute]]:
    """Every route with its method, as `GET /path`."""
    found = []
    for path, operations in app.openapi()["paths"].items():
        found += [(f"{method.upper()} {path}", operation) for method, operation in operations.items()]
    return found


def requirements(dependant: Any) -> list[Requirement]:
    inner = [one for dependency in dependant.dependencies for one in requirements(dependency)]
    return [dependant.call, *inner] if isinstance(dependant.call, Requirement) else inner


def api_routes(app: FastAPI) -> list[Any]:
    """The routes as the application really has them, those of included routers too."""
    found: list[Any] = []

    def walk(holder: Any) -> None:
        for route in holder.routes:
            contexts = getattr(route, "effective_route_contexts", None)
            if contexts is not None:
                found.extend(contexts())
            elif isinstance(route, APIRoute):
                found.append(route)

    walk(app)
    return found


async def test_every_route_states_one_permission(house: Any) -> None:
    seen = set()
    for route in api_routes(house.app):
        path = route.path
        if path.startswith(("/health/", "/metrics")):
            continue
        stated = requirements(route.dependant)
        assert len(stated) == 1, f"{route.methods} {path} states {len(stated)} permissions"
        for method in route.methods:
            seen.add(f"{method} {path}")
            open_to_all = isinstance(stated[0], Public)
            gone = any(path.startswith(f"/api/{version}") for version in SUNSET_VERSIONS) and route.name == "sunset"
            assert open_to_all == (f"{method} {path}" in PUBLIC or gone), f"{method} {path}"
    assert len(seen) > 60


async def test_every_route_is_in_the_table(house: Any) -> None:
    prefix = "/api/v3_0"
    known = {name.replace(f" {prefix}", " ", 1) for name, _ in routes(house.app) if f" {prefix}" in name}
    assert known == ROUTES.keys() | OF_NOBODY


def request_for(route: str, things: Things) -> tuple[str, str]:
    method, path = route.split(" ")
    kind = path.split("/")[1]
    target = {"accounts": things.account, "users": things.user, "assets": things.asset, "sensors": things.sensor}
    return method, path.replace("{id}", str(target.get(kind))).replace("{uuid}", things.job)


async def test_rights(world: World) -> None:
    wrong = []
    for route, right in ROUTES.items():
        for place, allowed in RIGHTS[right].items():
            for letter, person in world.people.items():
                method, path = request_for(route, await world.things_of(place))
                answer = await person.client.request(method, f"/api/v3_0{path}", json=None if method == "GET" else {})
                refused = answer.status_code == 403
                if answer.status_code in (401, 500) or refused == (letter in allowed):
                    wrong.append(f"{letter} {route} {place}: {answer.status_code}")
    assert not wrong


async def test_nobody_comes_in_without_a_token(world: World) -> None:
    things = await world.things_of("own")
    for route in (*ROUTES, *(OF_NOBODY - {"GET ", "GET /health/ready", "GET /assets/types"})):
        method, path = request_for(route, things)
        for token in (None, "nonsense", "Bearer", "Basic abc"):
            guest = world.house.guest(token)
            answer = await guest.request(method, f"/api/v3_0{path}", json=None if method == "GET" else {})
            assert answer.status_code == 401, route
            assert answer.json()["status"] == "UNAUTHORIZED"


LISTED: dict[str, dict[str, str]] = {
    # What of the four owners each person sees.
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
    ids: Callable[[Things], int | None] = lambda one: getattr(one, kind)  # noqa: E731
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
    for place, letters in RIGHTS["asset.write"].items():
        for letter, person in world.people.items():
            things = await world.things_of(place)
            child = {"name": "child", "generic_asset_type_id": 5, "account_id": things.account}
            sensor = {"name": "new", "unit": "kW", "event_resolution": "PT5M", "generic_asset_id": things.asset}
            for path, body in (("/assets", child | {"parent_asset_id": things.asset}), ("/sensors", sensor)):
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
                answer = await world.people[letter].client.post(f"/api/v3_0/assets/{things.asset}/copy", params=params)
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
    price = {"consumption-price": {"sensor": foreign.sensor}}
    trigger = {"start": "2026-01-01T00:00:00Z", "flex-model": {"power-capacity": "1 kW"}, "flex-context": price}
    path = f"/sensors/{own.sensor}/schedules/trigger"
    await world.people["P"].post(path, trigger, status=403)
    await world.people["M"].patch(f"/assets/{own.asset}", {"flex_context": price}, status=403)
    # An administrator may store the reference; that does not open the foreign sensor to others.
    await world.house.fetch("update asset set flex_context = $1 where id = $2", price, own.asset)
    await world.people["P"].post(path, trigger | {"flex-context": {}}, status=403)
    await world.people["A"].call("POST", path, json=trigger)
    assert not await world.house.fetch(
        "select 1 from job where sensor_id = $1 and user_id <> $2", own.sensor, world.people["A"].user_id
    )


async def test_users_cannot_raise_themselves(world: World) -> None:
    plain, manager, admin = world.people["P"], world.people["M"], world.people["A"]
    await plain.patch(f"/users/{plain.user_id}", {"timezone": "Europe/Amsterdam"})
    await plain.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": ["account-admin"]}, status=403)
    await plain.patch(f"/users/{plain.user_id}", {"active": True}, status=403)
    await manager.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": ["admin"]}, status=403)
    await manager.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": ["account-admin"]})
    await admin.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": ["admin", "account-admin"]})
    # Who is not an administrator cannot take the role away either.
    await manager.patch(f"/users/{plain.user_id}", {"flexmeasures_roles": []}, status=403)


async def test_schedules_are_stored_only_where_the_caller_may_store(world: World) -> None:
    own, public = await world.things_of("own"), await world.things_of("public")
    window = {"start": "2026-01-01T00:00:00Z", "flex-context": {"consumption-price": "1 EUR/MWh"}}
    outputs: list[dict[str, Any]] = [
        {"flex-model": {"power-capacity": "1 kW", "consumption": {"sensor": public.sensor}}},
        {"flex-model": {"power-capacity": "1 kW"}, "flex-context": {"aggregate-power": {"sensor": public.sensor}}},
    ]
    for output in outputs:
        trigger = window | output | {"flex-context": window["flex-context"] | output.get("flex-context", {})}
        await world.people["P"].post(f"/sensors/{own.sensor}/schedules/trigger", trigger, status=403)
    for stored in ({"flex_model": outputs[0]["flex-model"]}, {"flex_context": outputs[1]["flex-context"]}):
        await world.people["M"].patch(f"/assets/{own.asset}", stored, status=403)
    # Reading a public price is what it is there for.
    await world.house.fetch("update sensor set unit = 'EUR/MWh' where id = $1", public.sensor)
    price = {"flex_context": {"consumption-price": {"sensor": public.sensor}}}
    await world.people["M"].patch(f"/assets/{own.asset}", price)
    trigger = {"start": "2026-01-01T00:00:00Z", "flex-model": {"power-capacity": "1 kW"}}
    await world.people["P"].post(f"/sensors/{own.sensor}/schedules/trigger", trigger, status=202)
