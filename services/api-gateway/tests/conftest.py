"""A gateway on a fresh database, other services that only remember what they were sent, and people with roles."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from api_gateway.app import create_app, create_context
from api_gateway.auth.credentials import csrf_token, session_digest
from api_gateway.settings import GatewaySettings
from fastapi import FastAPI, Request
from flexcore.accounts import service as accounts
from flexcore.credentials import repository as tokens
from flexcore.credentials.passwords import HASHER
from flexcore.credentials.secrets import digest, new_token
from flexcore.users import service as users
from flexcore.webhooks import subscriptions
from flexserve.responses import OrjsonResponse
from flexserve.service_client import ServiceClient
from flexserve.service_token import generate_token
from flexstore import sources
from flexstore.series import BeliefBatch, to_datetime64, write_beliefs
from flexstore.store import Store
from flexwork import jobs

PASSWORD = "correct horse"
HASHED = HASHER.hash(PASSWORD)
NEVER = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
"""When the values that are made up for tests begin."""


ENDS_AT_ONCE = {"last-event-id": "none"}
"""Makes a request for events wrong, but not before permission was asked for: right ones are answered without an end."""


@dataclass
class StandIn:
    """Stands in for another service."""

    received: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: tuple[int, Any] = (200, {"message": "Sensor data has been stored.", "status": "PROCESSED"})

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/{path:path}")
        async def remember(path: str, request: Request) -> OrjsonResponse:
            self.received.append((f"/{path}", dict(request.headers), await request.body()))
            status, body = self.answer
            return OrjsonResponse(body, status)

        return app


@dataclass
class Person:
    """Someone who is logged in."""

    user_id: int
    account_id: int
    client: httpx.AsyncClient

    async def call(self, method: str, path: str, *, status: int | None = None, **options: Any) -> Any:
        """The body of the answer to a request below `/api/v3_0`."""
        answer = await self.client.request(method, f"/api/v3_0{path}", **options)
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def get(self, path: str, status: int = 200, **params: Any) -> Any:
        return await self.call("GET", path, status=status, params=params or None)

    async def post(self, path: str, json: Any = None, status: int = 201, **options: Any) -> Any:
        return await self.call("POST", path, status=status, json=json, **options)

    async def patch(self, path: str, json: Any, status: int = 200) -> Any:
        return await self.call("PATCH", path, status=status, json=json)

    async def delete(self, path: str, status: int = 204, **options: Any) -> Any:
        return await self.call("DELETE", path, status=status, **options)


@dataclass
class House:
    """The gateway and who is in it."""

    app: FastAPI
    store: Store
    ingest: StandIn
    scheduler: StandIn
    settings: GatewaySettings

    def guest(self, token: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": token} if token else {}
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://gateway", headers=headers)

    async def account(self, name: str, consultancy: int | None = None) -> int:
        async with self.store.transaction() as con:
            return await accounts.create(con, None, name, consultancy)

    async def person(self, name: str, account_id: int, *roles: str) -> Person:
        """A user who has a token already."""
        token = new_token()
        async with self.store.transaction() as con:
            user = await users.create(con, None, account_id, f"{name}@example.com", name, HASHED, roles=roles)
            await tokens.add_token(con, user, digest(token), NEVER)
        return Person(user, account_id, self.guest(token))

    async def fetch(self, sql: str, *values: Any) -> list[Any]:
        async with self.store.connection() as con:
            rows: list[Any] = await con.fetch(sql, *values)
            return rows


@cache
def application(max_body_mb: float) -> FastAPI:
    """The application, which takes longer to put together than a database: tests share it and change what is behind."""
    settings = GatewaySettings(max_body_mb=max_body_mb)
    nowhere = {name: ServiceClient(name, "http://nowhere", generate_token()) for name in ("ingest", "scheduler")}
    return create_app(settings, **nowhere)


@asynccontextmanager
async def opened(database_url: str, **changes: Any) -> AsyncIterator[House]:
    defaults = {"database_url": database_url, "patience": timedelta(0), "webhooks_per_account": 1000}
    settings = GatewaySettings(**{**defaults, **changes})
    store = await Store.connect(database_url, max_size=10)
    ingest, scheduler = StandIn(), StandIn()
    app = application(settings.max_body_mb)
    app.state.gateway = create_context(
        settings,
        store,
        ServiceClient("ingest", ingest.app(), generate_token()),
        ServiceClient("scheduler", scheduler.app(), generate_token()),
    )
    yield House(app, store, ingest, scheduler, settings)
    await store.close()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with opened(database_url) as house:
        yield house


@pytest.fixture
def open_house(database_url: str) -> Callable[..., Any]:
    """A gateway with other settings."""
    return lambda **changes: opened(database_url, **changes)


@pytest.fixture
async def toy(house: House) -> Person:
    """The administrator of an account, as in the tutorials."""
    return await house.person("toy-user", await house.account("Toy Account"), "account-admin")


@pytest.fixture
def add_site(toy: Person) -> Callable[..., Awaitable[tuple[int, int, int, int]]]:
    """A building with a price sensor and a battery with a power sensor; returns their ids in this order."""

    async def add(name: str = "site") -> tuple[int, int, int, int]:
        building = await toy.post("/assets", {"name": name, "generic_asset_type_id": 6})
        price = {"name": "price", "unit": "EUR/MWh", "event_resolution": "PT1H", "generic_asset_id": building["id"]}
        battery = {"name": "battery", "generic_asset_type_id": 5, "parent_asset_id": building["id"]}
        made = await toy.post("/sensors", price), await toy.post("/assets", battery)
        power = {"name": "power", "unit": "kW", "event_resolution": "PT15M", "generic_asset_id": made[1]["id"]}
        return building["id"], made[0]["id"], made[1]["id"], (await toy.post("/sensors", power))["id"]

    return add


@pytest.fixture
def know(house: Any) -> Any:
    """Let a source believe values of a sensor from the start on."""

    async def believe(
        sensor: int,
        values: list[float],
        minutes: int,
        *,
        at: datetime = START,
        source: str = "meter",
        kind: str = "user",
    ) -> int:
        starts = np.datetime64(START.replace(tzinfo=None), "us") + np.arange(len(values)) * np.timedelta64(minutes, "m")
        async with house.store.transaction() as con:
            source_id: int = await sources.ensure(con, source, kind)
            await write_beliefs(con, BeliefBatch(sensor, starts, to_datetime64(at), np.array(values), source_id))
        return source_id

    return believe


PLACES = ("own", "client", "foreign", "public")
ROLES = {"M": "account-admin", "P": None, "V": "account-reader", "C": "consultant"}


def in_query(name: str, thing: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda things: {"params": {name: things[thing]}}


def new_user(things: dict[str, Any]) -> dict[str, Any]:
    name = uuid4().hex
    return {"json": {"email": f"{name}@example.com", "username": name, "account_id": things["account"]}}


def new_asset(things: dict[str, Any]) -> dict[str, Any]:
    return {"json": {"name": uuid4().hex, "generic_asset_type_id": 5, "account_id": things["account"]}}


def new_sensor(things: dict[str, Any]) -> dict[str, Any]:
    kind = {"unit": "kW", "event_resolution": "PT15M"}
    return {"json": {"name": uuid4().hex, "generic_asset_id": things["asset"], **kind}}


def new_values(things: dict[str, Any]) -> dict[str, Any]:
    when = {"start": "2026-01-01T00:00:00Z", "duration": "PT15M"}
    return {"json": [{"sensor": things["sensor"], "unit": "kW", "values": [1.0], **when}]}


def series(things: dict[str, Any]) -> dict[str, Any]:
    return {"params": {"sensor": things["sensor"], "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}}


ABOUT: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "GET /api/v3_0/users": in_query("account_id", "account"),
    "POST /api/v3_0/users": new_user,
    "GET /api/v3_0/assets": in_query("account_id", "account"),
    "POST /api/v3_0/assets": new_asset,
    "POST /api/v3_0/sensors": new_sensor,
    "GET /api/v1/data": series,
    "GET /api/v1/data/latest": in_query("sensor", "sensor"),
    "POST /api/v1/data": new_values,
    "GET /api/v1/webhooks": in_query("account", "account"),
    "POST /api/v1/webhooks": lambda things: {"json": {"url": "https://example.com/", "account": things["account"]}},
}
"""Requests that say in their body, or their query, what they are about."""


@dataclass(frozen=True)
class Row:
    """A line of tenancy.txt."""

    method: str
    path: str
    about: str
    scope: str
    may: dict[str, str]
    """Per place the letters of those who may."""
    refusal: int = 403

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def says_what_about(self) -> bool:
        """Whether the thing is named in the body or the query. Such requests are right, so they succeed if they may."""
        return str(self) in ABOUT

    def refuses(self, answer: httpx.Response) -> bool:
        return answer.status_code >= 300 if self.says_what_about else answer.status_code in (401, self.refusal)

    @classmethod
    def of(cls, line: str) -> "Row":
        method, path, about, scope, *rest = line.split()
        refusal = int(rest.pop()) if rest and rest[-1].isdigit() else 403
        may = dict(zip(PLACES, rest, strict=False))
        # A thing that can be of nobody has a line that says who may; others have none that are public.
        return cls(method, path, about, scope, {place: who for place, who in may.items() if who != "."}, refusal)


@pytest.fixture(scope="session")
def table() -> list[Row]:
    lines = (Path(__file__).parent / "tenancy.txt").read_text().splitlines()
    return [Row.of(line) for line in lines if line.strip() and not line.startswith("#")]


@dataclass
class Session:
    """What a browser sends that is logged in."""

    cookies: dict[str, str]
    headers: dict[str, str]


@dataclass
class World:
    """A house with people of every role, and things of every owner."""

    house: House
    people: dict[str, Person]
    accounts: dict[str, int | None]
    lasting: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Things per place that were made and not deleted yet."""

    async def token(self, letter: str, **columns: Any) -> str:
        """A new token of this person, since requests may end the one they come with."""
        token, row = new_token(), {"kind": "login", "scopes": [], "account_id": None} | columns
        async with self.house.store.connection() as con:
            await con.execute(
                "insert into token (user_id, token_hash, kind, scopes, account_id) values ($1, $2, $3, $4, $5)",
                self.people[letter].user_id, digest(token), row["kind"], list(row["scopes"]), row["account_id"],
            )  # fmt: skip
        return token

    async def session(self, letter: str) -> Session:
        cookie = new_token()
        async with self.house.store.connection() as con:
            await tokens.add_token(con, self.people[letter].user_id, session_digest(cookie), NEVER, kind="session")
        return Session({"flexmesh_session": cookie}, {"X-CSRF-Token": csrf_token(cookie)})

    async def ask(self, row: Row, place: str, token: str | None, **options: Any) -> httpx.Response:
        """The answer to the request of this line about something of this place's owner."""
        things = await self.things(place)
        if row.method == "DELETE":  # What one person deletes is not missed by the next.
            del self.lasting[place]
        ids = {"id": things.get(row.about), "uuid": things["job"], "job": things.get(row.about, things["job"])}
        path = row.path.format(**ids, delivery=1)
        async with self.house.guest(token) as client:
            client.cookies.update(options.pop("cookies", {}))
            said = ABOUT[str(row)](things) if row.says_what_about else {}
            params = ENDS_AT_ONCE if path == "/api/v1/events" else None
            options = {"json": None if row.method == "GET" else {}, "params": params, **said, **options}
            return await client.request(row.method, path, **options)

    async def things(self, place: str) -> dict[str, Any]:
        """What there is of this place's owner."""
        if place not in self.lasting:
            self.lasting[place] = await self.things_of(place)
        return self.lasting[place]

    async def things_of(self, place: str) -> dict[str, Any]:
        """One of everything, of one owner, by what tenancy.txt calls it."""
        account, name = self.accounts[place], uuid4().hex
        things: dict[str, Any] = {"account": account}
        async with self.house.store.transaction() as con:
            things["asset"] = await con.fetchval(
                "insert into asset (name, account_id, asset_type_id) values ($1, $2, 5) returning id", name, account
            )
            things["sensor"] = await con.fetchval(
                "insert into sensor (name, asset_id, unit, event_resolution) values ('p', $1, 'kW', $2) returning id",
                things["asset"],
                timedelta(minutes=15),
            )
            request = {"optimize": {}}
            job = await jobs.create(
                con, queue="schedule", request=request, account_id=account, asset_id=things["asset"]
            )
            things["job"] = str(job)
            things["upload"] = str(await jobs.create(con, queue="ingest", request={}, account_id=account))
            if account is not None:
                things |= await self.user_of(con, account, name)
                things["webhook"] = (await subscriptions.add(con, account, "https://example.com/hook")).id
        return things

    async def user_of(self, con: Any, account: int, name: str) -> dict[str, int]:
        """A user, and what a user has."""
        user = await con.fetchval(
            "insert into users (account_id, email, username, password_hash) values ($1, $2, $2, '') returning id",
            account,
            f"{name}@example.com",
        )
        return {"user": user} | {
            kind: await con.fetchval(
                "insert into token (user_id, kind, token_hash, name) values ($1, $2, $3, 'n') returning id",
                user,
                "login" if kind == "token" else kind,
                new_token().encode(),
            )
            for kind in ("token", "key")
        }


@pytest.fixture
async def world(house: House) -> AsyncIterator[World]:
    own, platform = await house.account("own"), await house.account("platform")
    accounts: dict[str, int | None] = {
        "own": own, "client": await house.account("client", own), "foreign": await house.account("foreign"),
        "public": None,
    }  # fmt: skip
    people = {letter: await house.person(letter, own, *([role] if role else [])) for letter, role in ROLES.items()}
    people["A"] = await house.person("A", platform, "admin")
    people["R"] = await house.person("R", platform, "admin-reader")
    house.ingest.answer = (200, {"message": "Sensor data has been stored.", "status": "PROCESSED", "refused": {}})
    yield World(house, people, accounts)
