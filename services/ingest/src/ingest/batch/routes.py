"""`POST /internal/data`: series of many sensors, forwarded by the gateway after its permission check."""

from fastapi import APIRouter, Request
from flexserve.request_observability import body_too_large
from flexserve.responses import OrjsonResponse
from flexwork.contracts import BATCH_PATH

from ingest.batch.schemas import parse_batch
from ingest.context import Ingest
from ingest.data.routes import ActingUser

router = APIRouter()


@router.post(BATCH_PATH)
async def post_batch(user: ActingUser, ingest: Ingest, request: Request, partial: bool = False) -> OrjsonResponse:
    body = await request.body()
    if len(body) > ingest.settings.post_max_bytes:
        raise body_too_large(ingest.settings.post_max_bytes)
    batch = parse_batch(body)
    written, errors = await ingest.batch_handler.store_batch(user, batch, partial=partial)
    return OrjsonResponse(
        {
            "items": batch.item_count - len(errors),
            "new": written.new,
            "changed": written.changed,
            "unchanged": written.unchanged,
            "refused": {str(number): errors[number] for number in sorted(errors)},
        }
    )
