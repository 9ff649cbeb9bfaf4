"""Requirements of routes on their callers. Every route has exactly one `Requirement` among its dependencies."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from flexcore.credentials import repository
from flexcore.credentials.repository import CallerRow
from flexcore.permissions import resources
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import SCOPES, Action, Owner, ResourceType, Scope, in_scope, may
from flexcore.permissions.resources import Found
from flexstore.store import Connection

from api_gateway.auth.credentials import digest_of
from api_gateway.gateway import Gateway
from api_gateway.rate_limits import count, per_minute
from api_gateway.responses import ApiError, forbidden, not_found, unauthorized, unprocessable


class Requirement:
    """Marks the dependency that decides who may use a route."""


class Public(Requirement):
    """Anyone may use the route, without logging in."""

    async def __call__(self) -> None:
        return None


class LoggedIn(Requirement):
    """Any logged-in user may use the route, with a key of this scope (None: any). The route checks further."""

    def __init__(self, scope: Scope | None = Scope.READ) -> None:
        self.scope = scope

    async def __call__(self, request: Request, gateway: Gateway) -> Identity:
        async with gateway.store.connection() as con:
            caller = await authenticate(con, request, gateway)
        if self.scope is not None:
            check_scope(caller, self.scope)
        return caller


class Access(Requirement):
    """The caller may do `action` to the `thing` whose id is in the path. `unknown` makes the error if there is none."""

    def __init__(self, thing: ResourceType, action: Action, unknown: Callable[[int], ApiError] | None = None) -> None:
        self.thing = thing
        self.action = action
        self.unknown = unknown or UNKNOWN[thing]

    async def __call__(self, id: int, request: Request, gateway: Gateway) -> Found:
        async with gateway.store.connection() as con:
            row = await resources.find_for_caller(con, self.thing, id, digest_of(request), gateway.settings.seen_every)
            caller = await identity_of(con, row)
        if row is None or row.id is None:
            raise self.unknown(id)
        owner = resources.owner_of(row)
        check_scope(caller, SCOPES[self.action])
        if not may(caller, self.action, self.thing, owner):
            raise forbidden()
        return Found(caller, row, owner)


class OnPlatform(Requirement):
    """The caller may do `action` to the platform as a whole: an administrator."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, request: Request, gateway: Gateway) -> Identity:
        return await authorize(request, gateway, self.action, ResourceType.PLATFORM, lambda _: Owner(None))


class InOwnAccount(Requirement):
    """The caller may do `action` to their own account."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, request: Request, gateway: Gateway) -> Identity:
        return await authorize(
            request, gateway, self.action, ResourceType.ACCOUNT, lambda caller: Owner(caller.account_id)
        )


class OnSelf(Requirement):
    """The caller may do `action` to their own user. Keys need the scope for it."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, request: Request, gateway: Gateway) -> Identity:
        return await authorize(request, gateway, self.action, ResourceType.USER, owner_of_caller)


def owner_of_caller(caller: Identity) -> Owner:
    return Owner(caller.account_id, user_id=caller.user_id)


async def authorize(
    request: Request, gateway: Gateway, action: Action, thing: ResourceType, owner: Callable[[Identity], Owner]
) -> Identity:
    """Return the caller. Raises `ApiError` if they may not do this to a thing of that owner."""
    async with gateway.store.connection() as con:
        caller = await authenticate(con, request, gateway)
    check_scope(caller, SCOPES[action])
    if not may(caller, action, thing, owner(caller)):
        raise forbidden()
    return caller


def check_scope(caller: Identity, scope: Scope) -> None:
    if not in_scope(caller, scope):
        raise forbidden(
            "An API key cannot do this: log in with a password."
            if scope is Scope.LOGIN
            else f"This API key is not good for this: it lacks the scope '{scope}'."
        )


async def authenticate(con: Connection, request: Request, gateway: Gateway) -> Identity:
    """Return the user whose token came with the request. Raises `ApiError` if there is none."""
    return await identity_of(con, await repository.identify(con, digest_of(request), gateway.settings.seen_every))


async def identity_of(con: Connection, row: CallerRow | None) -> Identity:
    """Return the identity of the caller, and record now and then that they were seen.

    Raises:
        ApiError: There is no caller (401), or their key has reached its rate limit (429).
    """
    if row is None:
        raise unauthorized()
    if row.requests_per_minute is not None:
        (await count(con, f"key:{row.token_id}", per_minute(row.requests_per_minute))).enforce()
    if row.seen_long_ago:
        await repository.mark_seen(con, row.caller_id, row.token_id)
    return to_identity(row)


def to_identity(row: CallerRow) -> Identity:
    """Return the identity of the user who holds a token."""
    return Identity(
        user_id=row.caller_id,
        account_id=row.caller_account,
        username=row.caller_name,
        email=row.caller_email,
        roles=frozenset(row.roles),
        token_id=row.token_id,
        scopes=frozenset(row.scopes),
        kind=row.token_kind,
        only_account=row.only_account,
        requests_per_minute=row.requests_per_minute,
    )


def unknown_in_path(id: int) -> ApiError:
    return unprocessable({"path": {"id": [f"No sensor found with ID {id}."]}})


def unknown_sensor(id: int) -> ApiError:
    return unprocessable({"id": [f"No sensor found with ID {id}."]})


def unknown_data_sensor(id: int) -> ApiError:
    return not_found(f"Sensor {id} not found")


def unknown_forecast_sensor(id: int) -> ApiError:
    return unprocessable({"combined_sensor_data_description": {"sensor": [f"No sensor found with ID {id}."]}})


def unknown_asset(id: int) -> ApiError:
    return unprocessable({"id": [f"No asset found with ID {id}."]})


def unknown_asset_in_path(id: int) -> ApiError:
    return unprocessable({"path": {"id": [f"No asset found with ID {id}."]}})


UNKNOWN: dict[ResourceType, Callable[[int], ApiError]] = {
    ResourceType.ACCOUNT: lambda id: not_found(f"Account {id} not found"),
    ResourceType.USER: lambda id: not_found(f"User {id} not found"),
    ResourceType.ASSET: lambda id: not_found(f"No asset found with ID {id}."),
    ResourceType.SENSOR: unknown_in_path,
    ResourceType.TOKEN: lambda id: not_found(f"There is no login, session or API key with ID {id}."),
    ResourceType.KEY: lambda id: not_found(f"There is no API key with ID {id}."),
    ResourceType.WEBHOOK: lambda id: not_found(f"There is no webhook with ID {id}."),
}

Anyone = Depends(Public())
Caller = Annotated[Identity, Depends(LoggedIn())]
