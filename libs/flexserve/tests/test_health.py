"""A process is live while it runs, and ready while all its dependencies respond in time."""

import asyncio

import httpx
from fixture_types import ClientFor
from flexmodel.errors import Unavailable
from flexserve.app import create_app
from flexserve.health import Check
from flexserve.settings import ServiceSettings


async def well() -> None:
    pass


async def slow() -> None:
    await asyncio.sleep(60)


async def away() -> None:
    raise Unavailable("database")


async def broken() -> None:
    raise RuntimeError("no route to amqp://me:hush@mq")


def client(client_for: ClientFor, settings: ServiceSettings, *checks: Check) -> httpx.AsyncClient:
    app = create_app(settings, service="testing", title="Testing", checks=checks)
    made: httpx.AsyncClient = client_for(app)
    return made


async def test_ready_when_all_is_well(client_for: ClientFor, settings: ServiceSettings) -> None:
    response = await client(client_for, settings, Check("database", well), Check("broker", well)).get("/health/ready")
    assert response.status_code == 200
    body = response.json()
    assert body["status"] == "ready" and set(body["checks"]) == {"database", "broker"}
    assert all(check["ok"] for check in body["checks"].values())


async def test_not_ready_says_which_part_and_why(client_for: ClientFor, settings: ServiceSettings) -> None:
    checks = [
        Check("cache", well),
        Check("database", away),
        Check("broker", slow, timeout=0.1),
        Check("queue", slow, timeout=0.1),
        Check("mail", broken),
    ]
    response = await client(client_for, settings, *checks).get("/health/ready")
    assert response.status_code == 503 and response.headers["retry-after"] == "2"
    parts = response.json()["checks"]
    assert parts["cache"]["ok"]
    assert parts["database"]["error"] == "The database cannot be reached at the moment. Please try again shortly."
    assert parts["broker"]["error"] == "The broker did not answer within 0.1 s."
    assert not parts["queue"]["ok"]
    assert parts["mail"]["error"].startswith("The mail does not work: no route") and "hush" not in response.text


async def test_all_parts_are_asked_at_the_same_time(client_for: ClientFor, settings: ServiceSettings) -> None:
    both = asyncio.Barrier(2)
    checks = [Check(name, both.wait, timeout=30) for name in ("database", "broker")]
    assert (await client(client_for, settings, *checks).get("/health/ready")).status_code == 200


async def test_live_whatever_is_away(client_for: ClientFor, settings: ServiceSettings) -> None:
    response = await client(client_for, settings, Check("database", away)).get("/health/live")
    assert response.status_code == 200
    assert response.json()["status"] == "live"
