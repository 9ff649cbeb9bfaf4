"""`POST /internal/sensors/{id}/data`: a posted series, forwarded by the gateway."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from flexserve.direct_routes import direct
from flexserve.request_observability import body_too_large
from flexserve.responses import OrjsonResponse
from flexserve.service_client import acting_user
from flexstore.series import WriteCounts
from flexwork.contracts import SENSOR_DATA_PATH, SENSOR_HEADER

from ingest.context import Ingest
from ingest.data.repository import sensor_from_header
from ingest.data.resampling import schema_error
from ingest.data.schemas import parse_post

router = APIRouter()

ActingUser = Annotated[int, Depends(acting_user)]
"""Id of the user who sends the values."""


@router.post(SENSOR_DATA_PATH.format(id="{sensor_id}"))
@direct
async def post_data(sensor_id: int, user: ActingUser, ingest: Ingest, request: Request) -> OrjsonResponse:
    content_type = request.headers.get("content-type", "")
    if content_type and content_type.partition(";")[0].strip().lower() != "application/json":
        raise schema_error(
            f"Send the values as JSON, with the header Content-Type: application/json (got {content_type[:80]})."
        )
    body = await request.body()
    if len(body) > ingest.settings.post_max_bytes:
        raise body_too_large(ingest.settings.post_max_bytes)
    header = request.headers.get(SENSOR_HEADER)
    sensor = sensor_id if header is None else sensor_from_header(sensor_id, header)
    return stored_response(await ingest.post_handler.store_post(sensor, user, parse_post(body)))


def stored_response(written: WriteCounts, **more: object) -> OrjsonResponse:
    """Return the response to values that have been stored."""
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
