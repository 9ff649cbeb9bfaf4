"""A platform with something of everything in it, and callers who ask it what a machine makes up."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import requests
import schemathesis
from flexcore.credentials.passwords import HASHER
from platforms import EMAIL, PASSWORD, Platform, base_environment, free_port
from schemathesis.engine import Status, events, from_schema
from schemathesis.hooks import unregister
from waiting import eventually

V3 = "/api/v3_0"
START = "2026-11-22T00:00:00+01:00"
HASHED = HASHER.hash(PASSWORD)
ENDLESS = "listen_to_events"
"""Its answer is a stream of events that never ends."""
PROMISES = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
REFRESHED_EVERY = 50
"""After how many requests new things are made to ask about, in case the old ones are gone."""
REMEMBERED = 10
"""How many things of a kind are kept in mind."""
KEPT_WITHIN_LIMITS: dict[str, dict[str, Any]] = {
    "keys": {"name": "fuzz", "scopes": ["read"]},
    "webhooks": {"url": "https://example.com/told", "events": ["schedule.finished"]},
}
"""Things of which an account may have only so many."""
HEAL = """
with healed as (update users set active = true, email = $2, username = $2, password_hash = $3 where id = $1)
insert into user_role (user_id, role_id) select $1, id from role where name = $4 on conflict do nothing
"""


class Asker:
    """Asks, mostly about things that are there, and stays logged in whatever it does to itself."""

    def __init__(self, address: str, database_url: str, role: str) -> None:
        self.address = address
        self.database_url = database_url
        self.role = role
        self.session = requests.Session()
        self.things: dict[str, deque[Any]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        """Ids by what stands before them in a path, such as `/api/v3_0/assets/`; jobs by `job` and `forecast`."""
        self.asked = 0
        self.answers: Counter[tuple[str, int]] = Counter()
        """How often each operation was answered with each status."""
        self.wrong: list[str] = []
        """Answers that the document does not promise."""
        self.log_in(EMAIL)
        # Small numbers are made up often; the caller should not be one of them.
        for _ in range(10):
            name = f"fuzz-{uuid4().hex[:8]}"
            self.id = self.make(f"{V3}/users", email=f"{name}@example.com", username=name)["id"]
        self.email = f"{name}@example.com"
        self.heal()

    def heal(self) -> None:
        """Be who one was before one changed oneself, and log in anew."""

        async def write() -> None:
            con = await asyncpg.connect(self.database_url)
            await con.execute(HEAL, self.id, self.email, HASHED, self.role)
            await con.close()

        asyncio.run(write())
        self.log_in(self.email)

    def log_in(self, email: str) -> None:
        self.session.headers.pop("Authorization", None)
        answer = self.session.post(f"{self.address}/api/requestAuthToken", json={"email": email, "password": PASSWORD})
        assert answer.ok, answer.text
        self.session.headers["Authorization"] = answer.json()["auth_token"]

    def make(self, path: str, **body: Any) -> Any:
        return self.send("POST", path, **body)

    def send(self, method: str, path: str, **body: Any) -> Any:
        answer = self.session.request(method, self.address + path, json=body)
        if answer.status_code == 401:
            self.heal()
            answer = self.session.request(method, self.address + path, json=body)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def settle(self) -> None:
        """Make some of everything, for the next operation to find."""
        name = uuid4().hex[:8]
        asset = self.make(f"{V3}/assets", name=name, generic_asset_type_id=5)["id"]
        stepped = {"event_resolution": "PT15M", "generic_asset_id": asset}
        sensor = self.make(f"{V3}/sensors", name="power", unit="kW", **stepped)["id"]
        price = self.make(f"{V3}/sensors", name="price", unit="EUR/MWh", **stepped)["id"]
        context = {"consumption-price": {"sensor": price}, "site-power-capacity": "5 kW"}
        self.make(f"{V3}/sensors/{price}/data", start=START, duration="P1D", values=list(range(96)), unit="EUR/MWh")
        self.send("PATCH", f"{V3}/assets/{asset}", flex_context=context)
        user = self.make(f"{V3}/users", email=f"{name}@example.com", username=name)
        flexible = [{"sensor": sensor, "soc-at-start": "1 kWh", "soc-max": "9 kWh", "power-capacity": "3 kW"}]
        asked = {"start": START, "duration": "PT4H", "flex-model": flexible}
        made = {
            "assets/": asset,
            "sensors/": sensor,
            "users/": user["id"],
            "accounts/": user["account_id"],
            "job": self.make(f"{V3}/assets/{asset}/schedules/trigger", **asked)["job"],
            "forecast": self.make(f"{V3}/sensors/{sensor}/forecasts/trigger", start=START, duration="PT1H")["job"],
        }
        for kind, thing in made.items():
            for version in (f"{V3}/", "/api/v1/") if kind.endswith("/") else ("",):
                self.things[version + kind].append(thing)
        for kind, wanted in KEPT_WITHIN_LIMITS.items():
            made_one = self.session.post(f"{self.address}/api/v1/{kind}", json=wanted)
            if made_one.ok:  # unless it was asked meanwhile that there be no more of them
                self.things[f"/api/v1/{kind}/"].append(made_one.json()["id"])
        self.things["/api/v1/tokens/"] = self.things["/api/v1/keys/"].copy()

    def before_call(self, case: schemathesis.Case[Any]) -> None:
        if self.asked % REFRESHED_EVERY == 0:
            self.settle()
        self.asked += 1
        if "Authorization" not in self.session.headers:
            self.heal()
        self.aim(case)
        case.headers["Authorization"] = self.session.headers["Authorization"]

    def aim(self, case: schemathesis.Case[Any]) -> None:
        """Let four of five requests be about something that is there, unless their ids are out of the question."""
        if self.asked % 5 == 0:
            return
        for name in case.path_parameters or {}:
            kind = "forecast" if "/forecasts/" in case.path else "job"
            place = kind if name in ("uuid", "job") else case.path.partition(f"{{{name}}}")[0]
            self.replace(case.path_parameters, name, place)
        entries = case.body if isinstance(case.body, list) else []
        for entry in (case.query, *entries):
            if isinstance(entry, dict) and "sensor" in entry:
                self.replace(entry, "sensor", f"{V3}/sensors/")

    def replace(self, values: dict[str, Any], name: str, place: str) -> None:
        known = self.things[place]
        if known and (name in ("uuid", "job") or str(values[name]).isdigit()):
            values[name] = known[-1 - self.asked % len(known)]

    def after_call(self, case: schemathesis.Case[Any], answer: schemathesis.Response) -> None:
        self.answers[case.operation.label, answer.status_code] += 1
        if answer.status_code == 401:
            self.session.headers.pop("Authorization", None)
        elif answer.status_code in (200, 201) and "json" in answer.headers["content-type"][0]:
            self.things[f"{case.path}/"].extend(ids_in(answer.json()))

    def ask(self, document: Any, **config: Any) -> None:
        """Ask all operations of the document; `config` says how."""
        checks = {"enabled": False} | {name: {"enabled": True} for name in PROMISES}
        whole = schemathesis.Config.from_dict(
            config | {"base-url": self.address, "checks": checks, "cache": {"enabled": False}}
        )
        operations = schemathesis.openapi.from_dict(document, config=whole).exclude(operation_id=ENDLESS)
        with hooked(
            before_call=lambda _, case, kwargs: self.before_call(case),
            after_call=lambda _, case, response: self.after_call(case, response),
        ):
            self.follow(from_schema(operations).execute())

    def follow(self, happening: Iterator[events.EngineEvent]) -> None:
        for event in happening:
            if isinstance(event, events.NonFatalError | events.FatalError):
                self.wrong.append(repr(event))
            elif isinstance(event, events.ScenarioFinished):
                self.wrong += failures_of(event.recorder)

    def never_answered_well(self) -> set[str]:
        """The operations that were refused whatever was asked: nothing was found out about those."""
        good = {operation for operation, status in self.answers if 200 <= status < 300}
        return {operation for operation, _ in self.answers} - good


@contextmanager
def hooked(**hooks: Callable[..., None]) -> Iterator[None]:
    """Have these called around requests."""
    for name, hook in hooks.items():
        schemathesis.hook(name)(hook)
    try:
        yield
    finally:
        for hook in hooks.values():
            unregister(hook)


def ids_in(made: Any) -> list[Any]:
    """The id of what was made, or those of what is listed."""
    found = [made] if isinstance(made, dict) else made if isinstance(made, list) else []
    lists = [value for one in found if isinstance(one, dict) for value in one.values() if isinstance(value, list)]
    return [one["id"] for listed in (found, *lists) for one in listed[-3:] if isinstance(one, dict) and "id" in one]


def failures_of(recorder: Any) -> list[str]:
    """What was wrong, with the command that asks for it again."""
    return [
        f"{one.failure_info.failure.title}: {one.failure_info.failure.message}\n{one.failure_info.code_sample}"
        for checks in recorder.checks.values()
        for one in checks
        if one.status is Status.FAILURE
    ]


@pytest.fixture
def platform_to_ask(database_url: str, tmp_path: Any) -> Iterator[Platform]:
    """All services in one process, without limits on how often one may ask."""
    limits = ("TRIGGERS_PER_MINUTE", "FAILED_LOGINS_PER_USER", "FAILED_LOGINS_PER_ADDRESS", "RESET_MAILS_PER_HOUR")
    environment = base_environment(tmp_path) | {f"FLEXMESH_{name}": "0" for name in limits}
    environment |= {"FLEXMESH_FORECASTS": "true", "FLEXMESH_KEYS_PER_ACCOUNT": "1000000"}
    environment |= {"FLEXMESH_DATABASE_URL": database_url}
    platform = Platform(tmp_path, environment, free_port())
    platform.start("up", "up", "--toy", "--port", str(platform.port))
    try:
        platform.until_ready("up", platform.port, 60)
        eventually(lambda: "Log in as" in platform.log("up"), "the toy account being there", 60)
        yield platform
        assert "unexpected error" not in platform.log("up")
    finally:
        platform.stop()


@pytest.fixture
def new_asker(platform_to_ask: Platform, database_url: str) -> Any:
    """Somebody who has the role."""
    return lambda role: Asker(platform_to_ask.url, database_url, role)
