"""`POST /internal/sensors/{id}/data`: what a client posted, passed on by the gateway."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from flexserve.direct_routes import direct
from flexserve.request_observability import body_too_large
from flexserve.responses import OrjsonResponse
from flexserve.service_client import acting_user
from flexstore.series import WriteCounts
from flexwork.contracts import SENSOR_DATA_PATH, SENSOR_HEADER

from ingest.data.repository import told_sensor
from ingest.data.rules import refuse
from ingest.data.schemas import read_post
from ingest.ingest import Here

router = APIRouter()

ActingUser = Annotated[int, Depends(acting_user)]
"""The user whose values these are."""


@router.post(SENSOR_DATA_PATH.format(id="{sensor_id}"))
@direct
async def post_data(sensor_id: int, user: ActingUser, here: Here, request: Request) -> OrjsonResponse:
    kind = request.headers.get("content-type", "")
    if kind and kind.partition(";")[0].strip().lower() != "application/json":
        raise refuse(f"Send the values as JSON, with the header Content-Type: application/json (got {kind[:80]}).")
    body = await request.body()
    if len(body) > here.settings.post_max_bytes:
        raise body_too_large(here.settings.post_max_bytes)
    told = request.headers.get(SENSOR_HEADER)
    sensor = sensor_id if told is None else told_sensor(sensor_id, told)
    return stored(await here.posting.take(sensor, user, read_post(body)))


def stored(written: WriteCounts, **more: int) -> OrjsonResponse:
    """The answer to values that are stored for good."""
    return OrjsonResponse(
        {
            "message": "Sensor data has been stored.",
            "status": "PROCESSED",
            "new": written.new,
            "changed": written.changed,
            "unchanged": written.unchanged,
            **more,
        }
    )
