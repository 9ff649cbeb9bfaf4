"""`/api/v1/events`: activities as server-sent events, as they happen."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from api_gateway.auth.access import Caller
from api_gateway.events import service
from api_gateway.events.activity_descriptions import EXAMPLE
from api_gateway.events.response import EventStreamResponse
from api_gateway.events.schemas import EventQuery
from api_gateway.gateway import Gateway
from api_gateway.routing import ProblemDetailsRoute

router = APIRouter(prefix="/events", tags=["Events"], route_class=ProblemDetailsRoute)

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events, without an end. `data` is what webhooks get as body.",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": EXAMPLE}},
    },
    429: {"description": "The account has as many streams open as it may have."},
}


# Not `response_class=EventStreamResponse`: FastAPI takes that for an endpoint that yields its events.
@router.get(
    "", status_code=200, summary="Listen to what happens.", response_class=StreamingResponse, responses=RESPONSES
)
async def listen_to_events(
    caller: Caller,
    gateway: Gateway,
    query: Annotated[EventQuery, Query()],
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=20, description="The last id that the client has got.")
    ] = None,
) -> EventStreamResponse:
    stream = await service.open_stream(gateway, caller, query, last_event_id or query.last_event_id)
    return EventStreamResponse(service.stream_frames(stream, gateway.feed), stream.ended)
