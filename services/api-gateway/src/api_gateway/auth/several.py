"""Permissions for many sensors, checked with one query."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from fastapi import Request
from flexcore.permissions.identity import Identity
from flexcore.permissions.policy import SCOPES, Action, ResourceType, may
from flexcore.permissions.resources import FIND, LARGEST_ID, ResourceRow, owner_of

from api_gateway.auth.access import Requirement, authenticate, check_scope
from api_gateway.gateway import Gateway
from api_gateway.responses import ApiError, forbidden, not_found

FIND_SENSORS = FIND[ResourceType.SENSOR].replace("n.id = $1", "n.id = any($1::int[])")


@dataclass(frozen=True, slots=True)
class AuthorizedSensors:
    """The sensors that the caller may act on, by id, and the ids of the others by reason."""

    rows: dict[int, ResourceRow]
    unknown: frozenset[int]
    forbidden: frozenset[int]

    def refusal_of(self, id: int | None) -> str | None:
        """Return the reason why the caller may not act on this sensor, or None."""
        if id in self.unknown:
            return f"Sensor {id} not found"
        return f"You cannot be authorized for sensor {id}." if id in self.forbidden else None

    def refusal(self, message: object) -> ApiError:
        """Return the error for a request with unknown or forbidden sensors."""
        return not_found(message) if self.unknown else forbidden(message)

    def all(self, ids: Iterable[int]) -> list[ResourceRow]:
        """Return all requested sensors. Raises `ApiError` if any of them is unknown or forbidden."""
        if self.unknown or self.forbidden:
            sentences = [self.refusal_of(id) for id in sorted(self.unknown | self.forbidden)]
            raise self.refusal({"sensor": sentences})
        return [self.rows[id] for id in ids]


@dataclass(frozen=True, slots=True)
class SensorAuthorizer:
    """Finds the sensors that the caller may do `action` to."""

    caller: Identity
    gateway: Gateway
    action: Action

    async def find(self, ids: Collection[int]) -> AuthorizedSensors:
        possible: Sequence[int] = [id for id in ids if 0 < id <= LARGEST_ID]
        async with self.gateway.store.connection() as con:
            found = {row.id: row for row in await con.fetch(FIND_SENSORS, possible, record_class=ResourceRow)}
        allowed = {
            id: row for id, row in found.items() if may(self.caller, self.action, ResourceType.SENSOR, owner_of(row))
        }
        return AuthorizedSensors(allowed, frozenset(ids) - found.keys(), frozenset(found) - allowed.keys())


class OnSensors(Requirement):
    """The caller may do `action` to the sensors that the request names. The route checks each of them."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, request: Request, gateway: Gateway) -> SensorAuthorizer:
        async with gateway.store.connection() as con:
            caller = await authenticate(con, request, gateway)
        check_scope(caller, SCOPES[self.action])
        return SensorAuthorizer(caller, gateway, self.action)
