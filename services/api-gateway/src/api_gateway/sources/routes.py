"""`GET /sources`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from flexcore.permissions.resources import visible_accounts
from flexcore.sources import repository
from flexcore.sources.repository import SourceRow
from flexserve.responses import OrjsonResponse

from api_gateway.auth.access import Caller
from api_gateway.gateway import Gateway
from api_gateway.routing import EnvelopeRoute
from api_gateway.sources.schemas import SourceQuery, Sources

router = APIRouter(tags=["Sources"], route_class=EnvelopeRoute)

USUAL_TYPES = ("user", "scheduler", "forecaster", "reporter", "demo script", "gateway", "market")


def describe_source(source: SourceRow) -> str:
    """Return a description of a source: its name, model and version."""
    words: str = source.name
    if source.model:
        words += f"'s {source.model} model" if source.type != "forecaster" else f"'s {source.model} forecaster"
    return f"{words} v{source.version}" if source.version else words


def source_response(source: SourceRow) -> dict[str, Any]:
    optional = {key: source[key] for key in ("account_id", "user_id", "model", "version") if source[key] is not None}
    own = {"description": describe_source(source), "id": source.id, "name": source.name, "type": source.type}
    return own | optional


@router.get("/sources", response_model=Sources, summary="List accessible data sources.")
async def list_sources(caller: Caller, gateway: Gateway, query: Annotated[SourceQuery, Query()]) -> OrjsonResponse:
    async with gateway.store.connection() as con:
        within = await visible_accounts(con, caller)
        rows = await repository.load_visible(con, within, only_latest=query.only_latest)
    types = dict.fromkeys((*USUAL_TYPES, *(row.type for row in rows)))
    return OrjsonResponse({"sources": [source_response(row) for row in rows], "status": 200, "types": list(types)})
