"""`POST /optimize`, for the gateway: 200 with the result, or 202 if it takes long and should become a job."""

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
    response = await optimizer.optimize(_parse_json(await request.body()))
    return Response(status_code=202) if response is None else OrjsonResponse(response)


def _parse_json(body: bytes) -> object:
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"The body is not valid JSON: {error.msg}.") from error
    return parsed
