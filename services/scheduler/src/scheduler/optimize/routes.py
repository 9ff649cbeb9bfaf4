"""`POST /optimize`, for the gateway: 200 with the answer, or 202 if it takes long and should become a job."""

from typing import Any

import orjson
from fastapi import APIRouter, Request
from flexserve.responses import OrjsonResponse
from flexwork.contracts import OPTIMIZE_PATH
from starlette.exceptions import HTTPException
from starlette.responses import Response

from scheduler.optimize.service import Optimizer

router = APIRouter()


@router.post(OPTIMIZE_PATH)
async def optimize(request: Request) -> Response:
    optimizer: Optimizer = request.app.state.optimizer
    found = await optimizer.optimize(_json(await request.body()))
    return Response(status_code=202) if found is None else OrjsonResponse(found)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"The body is not valid JSON: {error.msg}.") from error
