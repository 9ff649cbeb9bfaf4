"""`/docs`: the API as a page to read and to try, in Swagger UI. All its files come from this server."""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse
from starlette.responses import Response

from api_gateway.auth.access import Anyone
from api_gateway.routing import EnvelopeRoute

router = APIRouter(prefix="/docs", dependencies=[Anyone], route_class=EnvelopeRoute, include_in_schema=False)

ASSETS = Path(str(files("fastapi_swagger") / "resources"))
"""The files of Swagger UI, from the package that ships them."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Only files of this server; inline styles because Swagger UI sets them."""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Flexmesh: the API</title>
<link rel="icon" type="image/png" href="/docs/favicon.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<noscript>This page needs JavaScript. The same is in the <a href="/openapi.json">OpenAPI document</a>.</noscript>
<script src="/docs/swagger-ui.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START = """const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  deepLinking: true,
  displayOperationId: true,
  filter: true,
  validatorUrl: null,
});
"""
CACHED = {"Cache-Control": "public, max-age=86400"}


@router.get("", response_class=HTMLResponse)
async def show_api() -> HTMLResponse:
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})


@router.get("/start.js")
async def get_start_script() -> Response:
    return Response(START, media_type="text/javascript")


@router.get("/swagger-ui.js")
async def get_swagger_ui_script() -> FileResponse:
    return FileResponse(ASSETS / "swagger-ui-bundle.js", headers=CACHED)


@router.get("/swagger-ui.css")
async def get_swagger_ui_style() -> FileResponse:
    return FileResponse(ASSETS / "swagger-ui.css", headers=CACHED)


@router.get("/favicon.png")
async def get_favicon() -> FileResponse:
    return FileResponse(ASSETS / "favicon-32x32.png", headers=CACHED)
