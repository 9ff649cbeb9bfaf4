"""`/api/v1/schedules/{job}/explanation`: what a schedule costs and why, what limits it, and what it saves."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from flexcore.schedules.triggers import QUEUE
from flexmodel.errors import Invalid, NotFound
from flexserve.responses import OrjsonResponse
from flexstore.store import Connection
from starlette.responses import PlainTextResponse, Response

from api_gateway.auth.access import Caller
from api_gateway.gateway import Gateway
from api_gateway.jobs import access, wording
from api_gateway.routing import ProblemDetailsRoute

router = APIRouter(prefix="/schedules", tags=["Schedules"], route_class=ProblemDetailsRoute)

EXAMPLE = {
    "format": "explanation/1",
    "currency": "EUR",
    "cost": -4.65,
    "costs": {"electricity net energy": -4.65},
    "sentences": [
        "The schedule earns 4.65 EUR (electricity net energy: -4.65 EUR).",
        "It saves 4.65 EUR compared with doing nothing.",
    ],
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The explanation: numbers and sentences, or (`Accept: text/plain`) one sentence per line.",
        "content": {
            "application/json": {"example": EXAMPLE},
            "text/plain": {"example": "\n".join(EXAMPLE["sentences"])},  # type: ignore[arg-type]
        },
    },
    202: {"description": "The schedule is not finished."},
}


@router.get("/{job}/explanation", summary="Get why a schedule is as it is.", responses=RESPONSES)
async def get_explanation(job: str, request: Request, caller: Caller, gateway: Gateway) -> Response:
    async with gateway.store.connection() as con:
        found = await access.find(con, job)
        if found is None or found.queue != QUEUE or not await access.may_see(con, caller, found):
            raise NotFound(f"There is no schedule job {job}.")
        if wording.STATUS_CODES[found.status] == 202:
            body = {"job": str(found.id), "status": found.status, "message": wording.message(found)}
            return OrjsonResponse(body, 202)
        if found.status != "FINISHED":
            raise Invalid({}, wording.message(found))
        explained = await load_explanation(con, found.id)
    if explained is None:
        raise NotFound(f"Job {job} left no explanation.")
    headers = {"Vary": "Authorization, Accept"}
    if wants_text(request.headers.get("accept", "")):
        return PlainTextResponse("".join(f"{sentence}\n" for sentence in explained["sentences"]), headers=headers)
    return OrjsonResponse(explained, headers=headers)


async def load_explanation(con: Connection, job_id: UUID) -> dict[str, Any] | None:
    """Load the explanation of the schedule that the job computed, or None."""
    document: dict[str, Any] | None = await con.fetchval("select document from explanation where job_id = $1", job_id)
    return document


def wants_text(accept: str) -> bool:
    """Return whether the client accepts plain text but no JSON."""
    media_types = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return "text/plain" in media_types and "application/json" not in media_types
