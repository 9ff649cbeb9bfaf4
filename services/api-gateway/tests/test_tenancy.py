"""Permissions by route, person, owner and credential: the responses match tenancy.txt."""

from collections.abc import Iterator
from typing import Any

from api_gateway.auth.access import Public, Requirement
from api_gateway.home.versions import SUNSET_VERSIONS
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from gateway_house import House, TenancyRule, World

SCOPES = ("read", "write", "schedule", "admin")


def requirements(dependant: Dependant) -> list[Requirement]:
    inner = [one for dependency in dependant.dependencies for one in requirements(dependency)]
    return [dependant.call, *inner] if isinstance(dependant.call, Requirement) else inner


def api_routes(app: FastAPI) -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and route of all routes of the application, those of included routers too."""
    for route in app.routes:
        contexts = getattr(route, "effective_route_contexts", None)
        found: list[Any] = contexts() if contexts is not None else [route] * isinstance(route, APIRoute)
        for one in found:
            gone = one.name == "sunset" and any(one.path.startswith(f"/api/{version}") for version in SUNSET_VERSIONS)
            if not gone and not one.path.startswith(("/health/", "/metrics")):
                yield from ((method, one.path, one) for method in one.methods)


async def test_every_route_states_one_permission(house: House, table: list[TenancyRule]) -> None:
    open_to_all = {(row.method, row.path) for row in table if row.scope == "open"}
    for method, path, route in api_routes(house.app):
        stated = requirements(route.dependant)
        assert len(stated) == 1, f"{method} {path} states {len(stated)} permissions"
        assert isinstance(stated[0], Public) == ((method, path) in open_to_all), f"{method} {path}"


async def test_every_route_is_in_the_table_and_nothing_else(house: House, table: list[TenancyRule]) -> None:
    there = {f"{method} {path}" for method, path, _ in api_routes(house.app)}
    listed = [f"{row.method} {row.path}" for row in table]
    assert sorted(there) == sorted(listed)
    assert len(there) > 70


async def test_what_changes_things_needs_more_than_reading(table: list[TenancyRule]) -> None:
    assert not [row for row in table if row.method != "GET" and row.scope in ("read", "any")]


async def test_rights(world: World, table: list[TenancyRule]) -> None:
    wrong = []
    for row in table:
        for place, allowed in row.may.items():
            for letter in world.people:
                answer = await world.ask(row, place, await world.token(letter))
                if answer.status_code == 500 or row.refuses(answer) == (letter in allowed):
                    wrong.append(f"{letter} {row} {place}: {answer.status_code} {answer.text}")
    assert not wrong


async def test_nobody_comes_in_without_a_token(world: World, table: list[TenancyRule]) -> None:
    for row in (row for row in table if row.scope != "open"):
        for token in (None, "nonsense", "Bearer", "Basic abc"):
            answer = await world.ask(row, "own", token)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), row


async def test_keys_are_good_for_their_scope_only(world: World, table: list[TenancyRule]) -> None:
    wrong = []
    for row in (row for row in table if row.scope != "open"):
        for scope in SCOPES:
            answer = await world.ask(row, "own", await world.token("A", kind="key", scopes=[scope]))
            told = "lacks the scope" in answer.text or "API key cannot" in answer.text
            if (answer.status_code == 403 and told) == (row.scope in (scope, "any")):
                wrong.append(f"{scope} {row}: {answer.status_code} {answer.text}")
    assert not wrong


async def test_keys_are_good_for_their_account_only(world: World, table: list[TenancyRule]) -> None:
    """An administrator's key for one account has no rights on other accounts, and reads public things."""
    wrong = []
    for row in (row for row in table if row.about != "-"):
        for place in row.may:
            token = await world.token("A", kind="key", scopes=SCOPES, account_id=world.accounts["client"])
            answer = await world.ask(row, place, token)
            reads_public = place == "public" and row.scope == "read"
            if row.refuses(answer) == ("A" in row.may[place] and (place == "client" or reads_public)):
                wrong.append(f"{row} {place}: {answer.status_code} {answer.text}")
    assert not wrong


async def test_cookies_open_what_tokens_open(world: World, table: list[TenancyRule]) -> None:
    """Without the CSRF token they change nothing."""
    wrong = []
    for row in (row for row in table if row.scope != "open"):
        for place, allowed in row.may.items():
            session = await world.session("M")
            if row.method != "GET":
                forged = await world.ask(row, place, None, cookies=session.cookies)
                if (forged.status_code, "X-CSRF-Token" in forged.text) != (403, True):
                    wrong.append(f"forged {row} {place}: {forged.status_code} {forged.text}")
            answer = await world.ask(row, place, None, cookies=session.cookies, headers=session.headers)
            if answer.status_code == 500 or row.refuses(answer) == ("M" in allowed):
                wrong.append(f"{row} {place}: {answer.status_code} {answer.text}")
    assert not wrong
