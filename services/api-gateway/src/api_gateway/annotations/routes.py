"""`…/annotations`: add annotations to an account, an asset or a sensor."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from flexcore.annotations import repository
from flexcore.annotations.inputs import AnnotationPost
from flexcore.annotations.repository import AnnotationRow
from flexcore.audit.service import changes_between, record_change
from flexcore.permissions.policy import Action, ResourceType
from flexcore.permissions.resources import Found
from flexserve.responses import OrjsonResponse
from flexstore import sources
from flexstore.store import Connection

from api_gateway.annotations.schemas import Annotation
from api_gateway.auth.access import Access, unknown_asset_in_path
from api_gateway.gateway import Gateway
from api_gateway.routing import EnvelopeRoute
from api_gateway.times import instant

router = APIRouter(tags=["Annotations"], route_class=EnvelopeRoute)

ANSWERS: dict[str, Any] = {
    "status_code": 201,
    "response_model": Annotation,
    "responses": {200: {"model": Annotation, "description": "The same annotation was there already."}},
}


@router.post("/accounts/{id}/annotations", **ANSWERS, summary="Add an annotation to an account.")
async def annotate_account(
    account: Annotated[Found, Depends(Access(ResourceType.ACCOUNT, Action.FEED))],
    gateway: Gateway,
    body: AnnotationPost,
) -> OrjsonResponse:
    return await annotate(gateway, account, ResourceType.ACCOUNT, body)


@router.post("/assets/{id}/annotations", **ANSWERS, summary="Add an annotation to an asset.")
async def annotate_asset(
    asset: Annotated[Found, Depends(Access(ResourceType.ASSET, Action.FEED, unknown_asset_in_path))],
    gateway: Gateway,
    body: AnnotationPost,
) -> OrjsonResponse:
    return await annotate(gateway, asset, ResourceType.ASSET, body)


@router.post("/sensors/{id}/annotations", **ANSWERS, summary="Add an annotation to a sensor.")
async def annotate_sensor(
    sensor: Annotated[Found, Depends(Access(ResourceType.SENSOR, Action.FEED))], gateway: Gateway, body: AnnotationPost
) -> OrjsonResponse:
    return await annotate(gateway, sensor, ResourceType.SENSOR, body)


async def annotate(gateway: Gateway, subject: Found, thing: ResourceType, body: AnnotationPost) -> OrjsonResponse:
    """Add an annotation. The status is 201 if it is new, and 200 if there was an equal one."""
    caller = subject.caller
    async with gateway.transaction() as con:
        source_id = await sources.ensure(
            con, caller.username, "user", user_id=caller.user_id, account_id=caller.account_id
        )
        known = await repository.find_equal(con, body, source_id)
        annotation_id = known or await repository.insert(con, body, source_id)
        linked = await repository.link(con, annotation_id, thing, subject.id)
        row = await repository.get(con, annotation_id)
        if linked:
            await record_annotation(con, thing, subject, row)
    return OrjsonResponse(annotation_response(row), 200 if known else 201)


async def record_annotation(con: Connection, thing: ResourceType, subject: Found, row: AnnotationRow) -> None:
    details = changes_between(None, annotation_response(row), ("content", "start", "end", "type"))
    event = f"Annotation (ID {row.id}) added to {thing} '{subject.row.name}': {subject.id}"
    asset_id = {ResourceType.ASSET: subject.id, ResourceType.SENSOR: subject.row.get("asset_id")}.get(thing)
    sensor_id = subject.id if thing is ResourceType.SENSOR else None
    await record_change(
        con,
        subject.caller,
        event,
        account_id=subject.account_id,
        asset_id=asset_id,
        sensor_id=sensor_id,
        details=details,
    )


def annotation_response(row: AnnotationRow) -> dict[str, Any]:
    return {
        "content": row.content,
        "end": instant(row.end),
        "id": row.id,
        "prior": instant(row.belief_time),
        "source": row.source_id,
        "start": instant(row.start),
        "type": row.type,
    }
