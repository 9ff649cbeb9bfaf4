"""Versions, lists of services, documents, pages and headers of the gateway, and versions long gone."""

import re

from gateway_house import AddSite, House, Person
from packaging.version import Version


async def test_versions_satisfy_clients(house: House) -> None:
    answer = await house.guest().get("/api/")
    body = answer.json()
    assert body["versions"] == ["v3_0"]
    # Clients look for releases from 0.27 on, and for nothing beyond 1.0.x that we do not have.
    assert Version("0.33") < Version(body["flexmeasures_version"]) < Version("1.1.0")
    assert answer.headers["FlexMeasures-Version"] == body["flexmeasures_version"]
    assert answer.headers["Flexmesh-Version"] == body["flexmesh_version"]
    assert answer.headers["API-Version"] == "v3_0"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_listing_names_every_operation(house: House) -> None:
    body = (await house.guest().get("/api/v3_0")).json()
    names = {service["name"]: service for service in body["services"]}
    assert len(names) > 50
    assert names["GET /accounts/<id>"] == {
        "description": "Fetch a given account.", "name": "GET /accounts/<id>",
        "url": "http://gateway/api/v3_0/accounts/<id>",
    }  # fmt: skip
    assert all(service["description"] for service in body["services"])


async def test_pages_need_nothing_from_elsewhere(house: House) -> None:
    for path in ("/", "/docs"):
        answer = await house.guest().get(path)
        assert answer.status_code == 200
        assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
        assert answer.headers["content-type"].startswith("text/html")
        assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)


async def test_the_page_of_the_api_has_all_its_files_here(house: House) -> None:
    page = await house.guest().get("/docs")
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    assert "<script>" not in page.text
    paths = re.findall(r'(?:src|href)="(/[^"]+)"', page.text)
    assert {"/docs/swagger-ui.js", "/docs/swagger-ui.css", "/docs/start.js", "/openapi.json"} <= set(paths)
    for path in paths:
        assert (await house.guest().get(path)).status_code == 200
    assert "/openapi.json" in (await house.guest().get("/docs/start.js")).text


async def test_versions_long_gone(house: House) -> None:
    for path in ("/api/v2_0/assets", "/api/v1/getMeterData", "/api/v1_3"):
        answer = await house.guest().get(path)
        assert answer.status_code == 410
        assert 'rel="sunset"' in answer.headers["Link"]
    assert answer.json()["message"].startswith("API version 1.3 has been sunset.")
    assert "API version 1.0 has" in (await house.guest().get("/api/v1/getMeterData")).json()["message"]
    # This API has taken the place of the first version.
    assert (await house.guest().put("/api/v1/keys/5")).status_code == 405
    assert (await house.guest().get("/api/v1/nonsense")).status_code == 404


async def test_health(house: House) -> None:
    assert (await house.guest().get("/api/v3_0/health/ready")).json() == {"database_sql": True, "status": 200}
    assert (await house.guest().get("/health/ready")).status_code == 200
    assert (await house.guest().get("/api/ops/ping")).json() == {"message": "ok", "status": 200}


async def test_deletions_name_a_content_type(toy: Person, add_site: AddSite) -> None:
    # Clients parse every answer as JSON and look at its type first.
    building, *_ = await add_site()
    answer = await toy.client.delete(f"/api/v3_0/assets/{building}")
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (204, b"", "application/json")


async def test_sources_are_listed(house: House, toy: Person) -> None:
    from flexstore import sources

    async with house.store.transaction() as con:
        await sources.ensure(con, "toy-user", "user", user_id=toy.user_id, account_id=toy.account_id)
        for version in ("1", "2"):
            await sources.ensure(con, "Flexmesh", "scheduler", model="StorageScheduler", version=version)
        stranger = await house.account("elsewhere")
    async with house.store.transaction() as con:
        await sources.ensure(con, "stranger", "user", account_id=stranger)
    listed = await toy.get("/sources")
    assert [source["description"] for source in listed["sources"]] == [
        "toy-user", "Flexmesh's StorageScheduler model v2",
    ]  # fmt: skip
    assert listed["sources"][0] == {
        "account_id": toy.account_id, "description": "toy-user", "id": 1, "name": "toy-user", "type": "user",
        "user_id": toy.user_id,
    }  # fmt: skip
    assert len((await toy.get("/sources", only_latest="false"))["sources"]) == 3
    assert {"user", "scheduler", "forecaster", "reporter"} <= set(listed["types"])
