"""`/internal/sensors/{id}/data/upload` and `/internal/data/upload`: files, passed on by the gateway as they come."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from flexserve.responses import OrjsonResponse
from flexwork.contracts import FEEDABLE_HEADER, SENSOR_UPLOAD_PATH, UPLOAD_PATH

from ingest.data.routes import ActingUser, stored
from ingest.files.form import opened_form
from ingest.files.sensors import Feeder
from ingest.ingest import Here

"""Of which accounts the user may feed the sensors: their ids, `public` for those of nobody, or `all`."""

router = APIRouter()


@router.post(SENSOR_UPLOAD_PATH.format(id="{sensor_id}"))
async def upload_of_sensor(sensor_id: int, user: ActingUser, here: Here, request: Request) -> OrjsonResponse:
    async with opened_form(request, sensor_id) as (terms, files):
        done = await here.intake.take(Feeder(user, frozenset()), terms, files)
    if done.report is None:
        return accepted(str(done.job))
    report = done.report.as_json()
    more = {name: report[name] for name in ("refused", "files")} if terms.partial else {}
    return stored(done.report.written, rows=report["rows"], **more)


@router.post(UPLOAD_PATH)
async def upload_of_many(
    user: ActingUser,
    feedable: Annotated[str, Header(alias=FEEDABLE_HEADER)],
    here: Here,
    request: Request,
) -> OrjsonResponse:
    async with opened_form(request) as (terms, files):
        done = await here.intake.take(Feeder(user, accounts_in(feedable)), terms, files)
    return accepted(str(done.job)) if done.report is None else OrjsonResponse(done.report.as_json())


def accounts_in(feedable: str) -> frozenset[int | None] | None:
    if feedable == "all":
        return None
    return frozenset(None if one == "public" else int(one) for one in feedable.split(",") if one)


def accepted(job: str) -> OrjsonResponse:
    return OrjsonResponse({"job": job}, 202)
