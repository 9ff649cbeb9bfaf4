"""`POST /internal/data`: series of many sensors, passed on by the gateway, which has asked who may post to them."""

from fastapi import APIRouter, Request
from flexserve.request_observability import body_too_large
from flexserve.responses import OrjsonResponse
from flexwork.contracts import BATCH_PATH

from ingest.batch.schemas import read_batch
from ingest.data.routes import ActingUser
from ingest.ingest import Here

router = APIRouter()


@router.post(BATCH_PATH)
async def post_batch(user: ActingUser, here: Here, request: Request, partial: bool = False) -> OrjsonResponse:
    body = await request.body()
    if len(body) > here.settings.post_max_bytes:
        raise body_too_large(here.settings.post_max_bytes)
    batch = read_batch(body)
    written, problems = await here.batching.take(user, batch, partial=partial)
    return OrjsonResponse(
        {
            "items": batch.items - len(problems),
            "new": written.new,
            "changed": written.changed,
            "unchanged": written.unchanged,
            "refused": {str(number): problems[number] for number in sorted(problems)},
        }
    )
