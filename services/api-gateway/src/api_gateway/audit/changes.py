"""`/api/v1/accounts/{id}/auditlog`: all changes in an account, with the values before and after."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from flexcore.audit import repository
from flexcore.audit.repository import ChangeRow
from flexcore.listing import Query as Parameters
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found
from flexserve.responses import OrjsonResponse
from pydantic import Field

from api_gateway.auth.access import Access
from api_gateway.gateway import Gateway
from api_gateway.response_models import ResponseModel, example
from api_gateway.routing import ProblemDetailsRoute
from api_gateway.times import instant

router = APIRouter(tags=["Audit log"], route_class=ProblemDetailsRoute)


class ChangeQuery(Parameters):
    before: int | None = Field(None, ge=1, le=2**63 - 1, description="Only what came before the change with this ID.")
    limit: int = Field(100, ge=1, le=1000, description="The most changes to list.")


class Credential(ResponseModel):
    """With what somebody was logged in: as `GET /api/v1/tokens` lists it, as long as it can be used."""

    id: int
    kind: Literal["login", "session", "key", "reset"]


class Change(ResponseModel):
    model_config = example(
        id=12,
        at="2026-11-21T10:35:24.332840+00:00",
        event="Updated sensor 'power': 3. Updated fields: Field name: unit, Old value: kW, New value: MW",
        user=1,
        username="toy-user",
        token={"id": 7, "kind": "key"},
        affected_user=None,
        asset=2,
        sensor=3,
        details={"unit": {"before": "kW", "after": "MW"}},
    )

    id: int
    at: datetime
    event: str
    user: int | None = Field(description="Who did it; none: it was done on the command line.")
    username: str | None
    token: Credential | None = Field(
        description="The login token, session, API key or mailed link with which they did it; none: as above."
    )
    affected_user: int | None
    asset: int | None
    sensor: int | None
    details: dict[str, Any] = Field(description="Of what was changed: `before` and `after`, by field.")


class Changes(ResponseModel):
    changes: list[Change] = Field(description="The newest first.")


@router.get("/accounts/{id}/auditlog", response_model=Changes, summary="List what was changed in an account.")
async def list_changes(
    account: Annotated[Found, Depends(Access(ResourceType.ACCOUNT, Action.AUDIT))],
    gateway: Gateway,
    query: Annotated[ChangeQuery, Query()],
) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        rows = await repository.load_changes(con, account.id, query.before, query.limit)
    return OrjsonResponse({"changes": [change_response(row) for row in rows]})


def change_response(row: ChangeRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": instant(row.event_datetime),
        "event": row.event,
        "user": row.active_user_id,
        "username": row.active_user_name,
        "token": None if row.token_id is None else {"id": row.token_id, "kind": row.token_kind},
        "affected_user": row.affected_user_id,
        "asset": row.asset_id,
        "sensor": row.sensor_id,
        "details": row.details,
    }
