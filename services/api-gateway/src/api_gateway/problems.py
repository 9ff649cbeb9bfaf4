"""Routes of `/api/v1`: strict JSON in, and RFC 9457 problems where something is wrong."""

from collections.abc import Mapping

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from flexmodel.errors import first_sentence
from flexserve.direct_routes import RequestHandler, WrappingRoute
from flexserve.errors import Failure, problem_details
from starlette.exceptions import HTTPException

from api_gateway.idempotency.replay import handle_once
from api_gateway.responses import Rejected
from api_gateway.routing import StrictRequest, is_of_another_kind, wrong_type


class ProblemRoute(WrappingRoute, APIRoute):
    """A route whose refusals, those of what it demands of its caller included, are problems."""

    def get_route_handler(self) -> RequestHandler:
        return self.wrap(super().get_route_handler())

    def wrap(self, handle: RequestHandler) -> RequestHandler:
        async def strictly(request: Request) -> Response:
            try:
                return await handle_once(StrictRequest(request.scope, request.receive), handle)
            except RequestValidationError as error:
                if is_of_another_kind(error):
                    return problem_details(failure(wrong_type(request)), request.scope)
                raise
            except orjson.JSONDecodeError as error:
                raise HTTPException(400, f"The body is not valid JSON: {error.msg}.") from error
            except Rejected as rejected:
                return problem_details(failure(rejected), request.scope)

        return strictly


def failure(rejected: Rejected) -> Failure:
    """A refusal in the words of `/api/v3_0`, without its envelope."""
    message = rejected.body.get("message") or " ".join(rejected.body.get("errors", ()))
    fields = message if isinstance(message, Mapping) else None
    detail = str(message) if fields is None else first_sentence(fields)
    return Failure(rejected.status, detail, fields, rejected.headers or {}, rejected)
