"""`/`, `/api/`, the listing of `/api/v3_0`, the health route of existing clients, and versions that are gone."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from flexmodel.errors import Unavailable
from flexserve.responses import OrjsonResponse

from api_gateway.auth.access import Anyone
from api_gateway.gateway import Gateway
from api_gateway.home import pages
from api_gateway.home.schemas import Readiness, Services, Versions
from api_gateway.home.versions import (
    API_VERSION,
    COMPATIBLE_VERSION,
    DOCUMENTATION,
    OWN_VERSION,
    SUNSET_PATHS,
    SUNSET_VERSIONS,
)
from api_gateway.responses import PROCESSED
from api_gateway.routing import EnvelopeRoute

router = APIRouter(dependencies=[Anyone], tags=["Home"], route_class=EnvelopeRoute)

MESSAGE = (
    "For these API versions a public endpoint is available, listing its service. For example: /api/v3_0. "
    "An authentication token can be requested at: /api/requestAuthToken"
)
METHODS = {"get": 0, "post": 1, "patch": 2, "delete": 3}


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
async def home(gateway: Gateway) -> HTMLResponse:
    return HTMLResponse(pages.home(gateway.settings.public_url))


@router.get("/api/", response_model=Versions, summary="List the versions of the API.")
@router.get("/api", include_in_schema=False)
async def list_versions() -> OrjsonResponse:
    return OrjsonResponse(
        {
            "flexmeasures_version": COMPATIBLE_VERSION,
            "flexmesh_version": OWN_VERSION,
            "message": MESSAGE,
            "status": 200,
            "versions": [API_VERSION],
        }
    )


@router.get(f"/api/{API_VERSION}", response_model=Services, summary="Obtain a service listing for this version.")
async def list_services(request: Request) -> OrjsonResponse:
    listed = list_operations(request.app.openapi(), str(request.base_url).rstrip("/"))
    return OrjsonResponse(PROCESSED | {"services": listed, "version": "3.0"})


def list_operations(document: dict[str, Any], base_url: str) -> list[dict[str, str]]:
    """Return every operation of `/api/v3_0` from the OpenAPI document."""
    prefix = f"/api/{API_VERSION}"
    found = []
    for path, operations in sorted(document["paths"].items()):
        if path == prefix or path.startswith(f"{prefix}/"):
            name = path.removeprefix(prefix).replace("{", "<").replace("}", ">")
            for method in sorted(METHODS.keys() & operations.keys(), key=METHODS.__getitem__):
                description = operations[method].get("summary", "")
                found.append(
                    {"description": description, "name": f"{method.upper()} {name}", "url": f"{base_url}{prefix}{name}"}
                )
    return found


@router.get(
    f"/api/{API_VERSION}/health/ready",
    response_model=Readiness,
    summary="Get readiness status.",
    responses={503: {"model": Readiness, "description": "The database is away."}},
)
async def get_readiness(gateway: Gateway) -> OrjsonResponse:
    try:
        await gateway.store.check(gateway.settings.readiness_timeout)
    except Unavailable:
        return OrjsonResponse({"database_sql": False, "status": 503}, 503, {"Retry-After": "2"})
    return OrjsonResponse({"database_sql": True, "status": 200})


@router.get("/api/ops/ping", include_in_schema=False)
async def ping() -> OrjsonResponse:
    return OrjsonResponse({"message": "ok", "status": 200})


async def sunset(request: Request) -> OrjsonResponse:
    """Respond to a request for a version that is gone."""
    name = request.url.path.split("/")[2]
    version = name.removeprefix("v").replace("_", ".") if "_" in name else "1.0"
    page = f"{DOCUMENTATION}/en/v0.13.0/api/{name}.html"
    upgrade = f"{DOCUMENTATION}/en/latest/api/introduction.html#deprecation-and-sunset"
    message = (
        f"API version {version} has been sunset. Please upgrade to API version 3.0. See {page} for more information."
    )
    links = f'<{upgrade}>; rel="deprecation"; type="text/html", <{page}>; rel="sunset"; type="text/html"'
    return OrjsonResponse({"message": message, "status": 410}, 410, {"Link": links})


for gone in SUNSET_VERSIONS:
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    router.add_api_route(f"/api/{gone}", sunset, methods=methods, include_in_schema=False)
    for gone_path in SUNSET_PATHS.get(gone, ("{path:path}",)):
        router.add_api_route(f"/api/{gone}/{gone_path}", sunset, methods=methods, include_in_schema=False)
