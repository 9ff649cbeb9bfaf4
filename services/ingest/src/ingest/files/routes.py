"""`/internal/sensors/{id}/data/upload` and `/internal/data/upload`: uploads, streamed by the gateway."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from flexserve.responses import OrjsonResponse
from flexwork.contracts import FEEDABLE_HEADER, SENSOR_UPLOAD_PATH, UPLOAD_PATH

from ingest.context import Ingest
from ingest.data.routes import ActingUser, stored_response
from ingest.files.schemas import open_form
from ingest.files.sensor_lookup import UploadSender

router = APIRouter()


@router.post(SENSOR_UPLOAD_PATH.format(id="{sensor_id}"))
async def upload_to_sensor(sensor_id: int, user: ActingUser, ingest: Ingest, request: Request) -> OrjsonResponse:
    async with open_form(request, sensor_id) as (options, files):
        result = await ingest.upload_handler.store_or_queue(UploadSender(user, frozenset()), options, files)
    if result.report is None:
        return accepted_response(str(result.job))
    report = result.report.to_json()
    names = ("rows", "refused", "files") if options.partial else ("rows",)
    return stored_response(result.report.total, **{name: report[name] for name in names})


@router.post(UPLOAD_PATH)
async def upload_to_many_sensors(
    user: ActingUser,
    writable_accounts: Annotated[str, Header(alias=FEEDABLE_HEADER)],
    ingest: Ingest,
    request: Request,
) -> OrjsonResponse:
    async with open_form(request) as (options, files):
        result = await ingest.upload_handler.store_or_queue(
            UploadSender(user, parse_accounts(writable_accounts)), options, files
        )
    return accepted_response(str(result.job)) if result.report is None else OrjsonResponse(result.report.to_json())


def parse_accounts(writable_accounts: str) -> frozenset[int | None] | None:
    """Parse the header with the accounts; None for all."""
    if writable_accounts == "all":
        return None
    return frozenset(
        None if account == "public" else int(account) for account in writable_accounts.split(",") if account
    )


def accepted_response(job: str) -> OrjsonResponse:
    """Return the response to an upload that a job will store."""
    return OrjsonResponse({"job": job}, 202)
