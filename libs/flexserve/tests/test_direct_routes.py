"""Direct routes give the response that FastAPI's own dispatch gives."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from flexmodel.errors import NotFound
from flexserve.app import create_app
from flexserve.direct_routes import DirectRoutesMiddleware, build_table, direct
from flexserve.responses import OrjsonResponse
from flexserve.settings import ServiceSettings
from starlette.exceptions import HTTPException


async def guard(request: Request) -> None:
    if "x-key" not in request.headers:
        raise HTTPException(401, "No key.")


async def counted(request: Request) -> int:
    request.state.count = getattr(request.state, "count", 0) + 1
    return int(request.state.count)


class Thing:
    """A dependency with a number of the path and another dependency."""

    async def __call__(self, id: int, request: Request, count: Annotated[int, Depends(counted)]) -> dict[str, Any]:
        if id == 404:
            raise NotFound("There is no thing 404.")
        return {"id": id, "count": count, "path": dict(request.path_params)}


Found = Annotated[dict[str, Any], Depends(Thing())]


def things() -> APIRouter:
    router = APIRouter(prefix="/things")

    @router.get("/{id}")
    @direct
    async def get(thing: Found, count: Annotated[int, Depends(counted)]) -> OrjsonResponse:
        return OrjsonResponse({**thing, "again": count})

    @router.post("/{id}/parts/{part}")
    @direct
    async def post(thing: Found, part: int, request: Request) -> OrjsonResponse:
        return OrjsonResponse({**thing, "part": part, "body": (await request.body()).decode()}, 201)

    @router.get("/{id}/names/{name}")
    async def by_name(thing: Found, name: str) -> OrjsonResponse:
        return OrjsonResponse({**thing, "name": name})

    @router.get("/{id}/names/{number}", name="never reached: the route above comes first")
    @direct
    async def by_number(number: int) -> OrjsonResponse:
        return OrjsonResponse({"number": number})

    @router.get("/{id}/pages")
    async def pages(thing: Found, page: int = 1) -> OrjsonResponse:
        return OrjsonResponse({**thing, "page": page})

    @router.get("/{id}/plain")
    async def plain(thing: Found) -> dict[str, Any]:
        return thing

    return router


def application(settings: ServiceSettings) -> FastAPI:
    app = create_app(settings, service="testing", title="Things")
    app.include_router(things(), prefix="/api", dependencies=[Depends(guard)])
    return app


def without(app: FastAPI) -> FastAPI:
    direct_routes: object = DirectRoutesMiddleware
    app.user_middleware = [middleware for middleware in app.user_middleware if middleware.cls is not direct_routes]
    return app


@pytest.fixture
async def clients(settings: ServiceSettings) -> AsyncIterator[list[httpx.AsyncClient]]:
    apps = [application(settings), without(application(settings))]
    clients = [
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://t", headers={"X-Key": "k"}
        )
        for app in apps
    ]
    yield clients
    for client in clients:
        await client.aclose()


def test_serves_the_marked_routes() -> None:
    app = FastAPI()
    app.include_router(things(), prefix="/api")
    is_direct = {key: route is not None for key, route in build_table(app.router.routes).items() if "things" in key[1]}
    assert is_direct == {
        ("GET", "/api/things/{}"): True,
        ("POST", "/api/things/{}/parts/{}"): True,
        ("GET", "/api/things/{}/names/{}"): False,
        ("GET", "/api/things/{}/pages"): False,
        ("GET", "/api/things/{}/plain"): False,
    }


async def endpoint_with_query(page: int = 1) -> OrjsonResponse:
    return OrjsonResponse(page)


async def endpoint_with_name(name: str) -> OrjsonResponse:
    return OrjsonResponse(name)


async def endpoint_without_response(request: Request) -> dict[str, str]:
    return {"method": request.method}


@pytest.mark.parametrize("endpoint", [endpoint_with_query, endpoint_with_name, endpoint_without_response])
def test_a_mark_where_it_cannot_hold_is_an_error(endpoint: Callable[..., Awaitable[object]]) -> None:
    app = FastAPI()
    app.add_api_route("/{name}", direct(endpoint))
    with pytest.raises(TypeError, match="cannot be a direct route"):
        build_table(app.router.routes)


PATHS = [
    ("GET", "/api/things/7"),
    ("GET", "/api/things/007"),
    ("GET", "/api/things/-7"),
    ("GET", "/api/things/7/"),
    ("GET", "/api//things/7"),
    ("GET", "/api/things/x"),
    ("GET", "/api/things/\N{ARABIC-INDIC DIGIT SEVEN}"),
    ("GET", "/api/things/99999999999999999999"),
    ("GET", "/api/things/404"),
    ("PUT", "/api/things/7"),
    ("HEAD", "/api/things/7"),
    ("POST", "/api/things/7/parts/8"),
    ("POST", "/api/things/404/parts/8"),
    ("POST", "/api/things/7/parts/x"),
    ("GET", "/api/things/7/names/8"),
    ("GET", "/api/things/7/pages?page=3"),
    ("GET", "/api/things/7/plain"),
    ("GET", "/api/other/7"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_answers_as_fastapi_does(method: str, path: str, clients: list[httpx.AsyncClient]) -> None:
    by_mark, by_fastapi = [
        await client.request(method, path, content=b"some text", headers={"X-Request-ID": "r"}) for client in clients
    ]
    assert (by_mark.status_code, by_mark.content) == (by_fastapi.status_code, by_fastapi.content)
    assert dict(by_mark.headers) == dict(by_fastapi.headers)


async def test_what_a_router_demands_is_demanded(clients: list[httpx.AsyncClient]) -> None:
    for client in clients:
        del client.headers["X-Key"]
        assert (await client.get("/api/things/7")).status_code == 401


async def test_a_dependency_of_several_runs_once(clients: list[httpx.AsyncClient]) -> None:
    for client in clients:
        assert (await client.get("/api/things/7")).json() == {"id": 7, "count": 1, "path": {"id": "7"}, "again": 1}


async def test_is_counted_under_the_path_with_names(clients: list[httpx.AsyncClient]) -> None:
    await clients[0].get("/api/things/7")
    assert 'route="/api/things/{id}"' in (await clients[0].get("/metrics")).text
