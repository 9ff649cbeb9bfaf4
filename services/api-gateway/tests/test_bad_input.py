"""Invalid input of many kinds: a 4xx response that names the field, and nothing stored."""

import json
from typing import Any, NoReturn

import pytest
from gateway_house import AddSite, House, OpenHouse, Person

DEEP = "[" * 5000 + "]" * 5000


STRANGE = {
    '{"name": ': "not valid JSON",
    "": "json",
    DEEP: "depth",
    '{"name": NaN}': "not valid JSON",
    '{"name": "x", "latitude": Infinity}': "not valid JSON",
    '{"name": "x", "latitude": 1e999}': "not valid JSON",
    '{"name": "\\ud800"}': "not valid JSON",
    '{"name": "a\\u0000b"}': "NUL",
    "[]": "Invalid input type",
    '"text"': "Invalid input type",
    "null": "may not be null",
}


async def test_strange_bodies(house: House, toy: Person, add_site: AddSite, subtests: pytest.Subtests) -> None:
    await add_site()
    for text, said in STRANGE.items():
        for path in ("/assets", "/sensors/2/schedules/trigger"):
            with subtests.test(path, text=text[:40]):
                headers = {"Content-Type": "application/json"}
                answer = await toy.client.post(f"/api/v3_0{path}", content=text, headers=headers)
                assert answer.status_code in (400, 422), answer.text
                assert answer.json()["message"]
                assert said in answer.text or path != "/assets"
    assert len(await house.fetch("select id from asset")) == 2
    assert not await house.fetch("select id from job")


async def test_depth_that_cannot_be_stored(house: House, toy: Person, add_site: AddSite) -> None:
    """Such text can be parsed, but not encoded again."""
    _, _, battery, power = await add_site()

    async def asked(depth: int) -> list[int]:
        deep = json.loads("[" * depth + "]" * depth)
        attributes = {"x": deep}
        trigger = {"start": "2026-03-02T00:00:00Z", "flex-model": {"soc-at-start": "1 kWh", "soc-targets": deep}}
        answers = [
            await toy.client.patch(f"/api/v3_0/assets/{battery}", json={"attributes": attributes}),
            await toy.client.patch(f"/api/v3_0/assets/{battery}", json={"attributes": json.dumps(attributes)}),
            await toy.client.post(f"/api/v3_0/sensors/{power}/schedules/trigger", json=trigger),
            await toy.client.post("/api/v1/data", json={"x": deep}),
        ]
        return [answer.status_code for answer in answers]

    assert await asked(98) == [200, 200, 422, 422]
    for depth in (101, 250, 900):
        assert await asked(depth) == [400, 422, 400, 400]


async def test_of_very_many_problems_some_are_told(house: House, toy: Person, add_site: AddSite) -> None:
    building, _, battery, power = await add_site()
    many, start = 8_000, "2026-03-02T00:00:00Z"
    unknown = {f"x{number}": 1 for number in range(many)}
    for method, path, body in (
        ("PATCH", f"/assets/{battery}", {"flex_context": unknown}),
        ("PATCH", f"/assets/{battery}", {"flex_model": unknown}),
        ("POST", f"/sensors/{power}/schedules/trigger", {"start": start, **unknown}),
        ("POST", f"/sensors/{power}/schedules/trigger", {"start": start, "flex-model": {"soc-targets": [{}] * many}}),
        ("POST", f"/assets/{building}/schedules/trigger", {"start": start, "flex-model": [1] * many}),
        (
            "POST",
            f"/assets/{building}/schedules/trigger",
            {"start": start, "flex-context": {"inflexible-device-sensors": list(range(1000, 1000 + many))}},
        ),
    ):
        answer = await toy.client.request(method, f"/api/v3_0{path}", json=body)
        assert answer.status_code == 422, answer.text
        assert len(answer.content) < 10_000
    answer = await toy.client.patch(f"/api/v3_0/assets/{battery}", json={"flex_model": [[]] * 200_000})
    assert (answer.status_code, "more than 200000 objects" in answer.text) == (400, True)
    answer = await toy.client.post("/api/v3_0/assets", json=dict.fromkeys(map(str, range(10_001))))
    assert (answer.status_code, "more than 10000 fields" in answer.text) == (400, True)
    answer = await toy.client.patch(f"/api/v3_0/assets/{battery}", json={"sensors_to_show": [1] * 600_000})
    assert "Longer than maximum length 1000000." in answer.text
    for shown in ([power] * 201, [{"title": "x", "sensors": [power] * 50_000}]):
        answer = await toy.client.patch(f"/api/v3_0/assets/{battery}", json={"sensors_to_show": shown})
        assert (answer.status_code, "Longer than" in answer.text) == (422, True)
    answer = await toy.client.post("/api/v1/data", json=[{"sensor": 0}] * 10_001)
    assert "at most 10000" in answer.json()["detail"]


async def test_wrong_content_type(toy: Person) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        for path in ("/assets", "/sensors/1/schedules/trigger"):
            content = json.dumps({"name": "x", "generic_asset_type_id": 1})
            answer = await toy.client.post(f"/api/v3_0{path}", content=content, headers={"Content-Type": kind})
            # The trigger is for a sensor that is not there, which may be found out first.
            assert answer.status_code == 415 or "sensor" in answer.text
            if path == "/assets":
                assert "application/json" in answer.json()["message"]


async def test_large_bodies_are_refused(open_house: OpenHouse) -> None:
    async with open_house(max_body_mb=0.1) as house:
        toy = await house.person("toy", await house.account("toy"), "account-admin")
        body = {"name": "x", "generic_asset_type_id": 1, "description": "y" * 200_000}
        answer = await toy.client.post("/api/v3_0/assets", json=body)
        assert answer.status_code == 413
        assert not await house.fetch("select id from asset")


ASSET = {"name": "x", "generic_asset_type_id": 6}
SENSOR = {"name": "x", "unit": "kW", "event_resolution": "PT15M", "generic_asset_id": 1}


WRONG_ASSETS: list[tuple[Any, ...]] = [
    ({"latitude": 91}, "latitude", "Latitude 91.0 exceeds the maximum latitude of 90 degrees."),
    ({"longitude": -181}, "longitude", "Longitude -181.0 exceeds the minimum longitude of -180 degrees."),
    ({"latitude": "north"}, "latitude", "Not a valid number."),
    ({"name": ""}, "name", "Shorter than minimum length 1."),
    ({"name": "x" * 256}, "name", "Longer than maximum length 255."),
    ({"name": None}, "name", "Field may not be null."),
    ({"name": ["x"]}, "name", "Not a valid string."),
    ({"generic_asset_type_id": 999}, "generic_asset_type_id", "GenericAssetType with id 999 doesn't exist."),
    (
        {"generic_asset_type_id": 10**12},
        "generic_asset_type_id",
        "GenericAssetType with id 2147483647 doesn't exist.",
    ),
    ({"account_id": -5}, "account_id", "Account with Id -5 doesn't exist."),
    ({"parent_asset_id": 999}, "parent_asset_id", "No asset found with ID 999."),
    ({"attributes": "{"}, "attributes", "Not valid JSON: unexpected end of data."),
    ({"attributes": "[]"}, "attributes", "Not a valid mapping type."),
    ({"attributes": '{"a": "\\u0000"}'}, "attributes", "Must not contain the character NUL."),
    ({"flex_model": {"soc-max": "90 EUR"}}, "soc-max", "Cannot convert value `90 EUR` to 'MWh'"),
    ({"flex_model": {"soc-maxx": "90 kWh"}}, "soc-maxx", "Unknown field."),
    ({"flex_context": {"consumption-price": {"sensor": 999}}}, "consumption-price", "No sensor found with ID 999."),
    ({"sensors_to_show": [{"title": "x", "sensors": [999]}]}, "sensors_to_show", "No sensor found with ID 999."),
    ({"sensors_to_show": {}}, "sensors_to_show", "Not a valid list."),
    (
        {"sensors_to_show": [{"plots": [{"asset": 999, "flex-model": "soc-max"}]}]},
        "sensors_to_show",
        "No asset found with ID 999.",
    ),
    ({"generic_asset_type_id": True}, "generic_asset_type_id", "Not a valid integer."),
    ({"latitude": False}, "latitude", "Not a valid number."),
    ({"owner": 1}, "owner", "Unknown field."),
]


async def test_wrong_assets(house: House, toy: Person, subtests: pytest.Subtests) -> None:
    for change, field, problem in WRONG_ASSETS:
        with subtests.test(field, change=change):
            refused = await toy.post("/assets", ASSET | change, status=422)
            assert refused["message"] == {"json": {field: [problem]}}
    assert not await house.fetch("select id from asset")


WRONG_GRAPHS: list[tuple[Any, str]] = [
    ("5", "Give the id of a sensor, a list of ids, or an object"),
    (True, "Give the id of a sensor"),
    (None, "Give the id of a sensor"),
    ([[1]], "Give the id of a sensor"),
    ({"title": "Power"}, "Say what to draw"),
    ({"title": 5, "sensors": []}, "`title` must be a string."),
    ({"sensor": "5"}, "`sensor` must be the id of a sensor."),
    ({"sensors": 5}, "`sensors` must be a list of ids of sensors."),
    ({"plots": {"sensor": 5}}, "`plots` must be a list."),
    ({"plots": [{}]}, "Each plot must be an object"),
    ({"plots": [{"sensor": None}]}, "`sensor` must be the id of a sensor."),
    ({"plots": [{"asset": 1}]}, "With `asset`, say which field"),
    ({"plots": [{"asset": "1", "flex-model": "soc-max"}]}, "`asset` must be the id of an asset."),
    ({"plots": [{"asset": 1, "flex-model": "soc-mix"}]}, "There is no field 'soc-mix' in a flex-model."),
    ({"plots": [{"asset": 1, "flex-context": ["x"]}]}, "There is no field ['x'] in a flex-context."),
]
WRONG_FIGURES: list[tuple[Any, str]] = [
    (5, "Give an object"),
    ({"title": "Energy"}, "Give an object"),
    ({"sensor": "x"}, "`sensor` must be the id of a sensor."),
    ({"sensor": 1, "title": 5}, "`title` must be a string."),
    ({"sensor": 1, "function": "average"}, "`function` must be one of: sum, mean, median, min, max."),
]


async def test_wrong_graphs_and_figures(house: House, toy: Person, subtests: pytest.Subtests) -> None:
    wrong = [("sensors_to_show", *one) for one in WRONG_GRAPHS]
    wrong += [("sensors_to_show_as_kpis", *one) for one in WRONG_FIGURES]
    for field, entry, problem in wrong:
        with subtests.test(field, entry=entry):
            refused = await toy.post("/assets", ASSET | {field: [[], entry][field == "sensors_to_show_as_kpis" :]}, 422)
            [sentence] = refused["message"]["json"][field]
            assert sentence.partition(": ")[2].startswith(problem)
    assert not await house.fetch("select id from asset")


@pytest.mark.parametrize(
    "address", ["x", "javascript:alert(1)", "//example.com/x.png", "https:///x", "https://[", "ftp://x.io"]
)
async def test_logos_come_from_the_web(toy: Person, address: str) -> None:
    refused = await toy.patch(f"/accounts/{toy.account_id}", {"logo_url": address}, status=422)
    assert list(refused["message"]["json"]) == ["logo_url"]
    given = await toy.patch(f"/accounts/{toy.account_id}", {"logo_url": "https://example.com/x.svg"})
    assert given["logo_url"] == "https://example.com/x.svg"


async def test_no_body_is_told_what_it_lacks(toy: Person) -> None:
    refused = await toy.post("/assets", status=422)
    missing = ["Missing data for required field."]
    assert refused["message"]["json"] == {"generic_asset_type_id": missing, "name": missing}


WRONG_SENSORS: list[tuple[Any, ...]] = [
    ({"unit": "florps"}, "unit"),
    ({"unit": "9**9**9**9 kW"}, "unit"),
    ({"event_resolution": "1 hour"}, "event_resolution"),
    ({"event_resolution": "-PT1H"}, "event_resolution"),
    ({"event_resolution": "P1M"}, "event_resolution"),
    ({"event_resolution": "P1000Y"}, "event_resolution"),
    ({"event_resolution": "PT" + "9" * 99 + "H"}, "event_resolution"),
    ({"event_resolution": "P99999999999D"}, "event_resolution"),
    ({"timezone": "Mars/Olympus"}, "timezone"),
    ({"timezone": "../../etc/passwd"}, "timezone"),
    ({"generic_asset_id": 999}, "generic_asset_id"),
    ({"name": "x" * 121}, "name"),
    ({"entity_address": "x"}, "entity_address"),
]


async def test_wrong_sensors(house: House, toy: Person, subtests: pytest.Subtests) -> None:
    await toy.post("/assets", ASSET)
    for change, field in WRONG_SENSORS:
        with subtests.test(field, change=change):
            refused = await toy.post("/sensors", SENSOR | change, status=422)
            assert list(refused["message"]["json"]) == [field]
    assert not await house.fetch("select id from sensor")


WRONG_QUESTIONS: list[tuple[Any, ...]] = [
    ("/assets", {"page": 0}, "page"),
    ("/assets", {"page": -1}, "page"),
    ("/assets", {"page": 10**9}, "page"),
    ("/assets", {"page": 1, "per_page": 0}, "per_page"),
    ("/assets", {"page": 1, "per_page": 10**6}, "per_page"),
    ("/assets", {"sort_by": "name; drop table asset"}, "sort_by"),
    ("/assets", {"sort_dir": "sideways"}, "sort_dir"),
    ("/assets", {"fields": "id|password"}, "fields"),
    ("/assets", {"root": 999}, "root"),
    ("/assets", {"depth": -1}, "depth"),
    ("/assets", {"account_id": 999}, "account_id"),
    ("/assets", {"asset_type": 999}, "asset_type"),
    ("/assets", {"nonsense": 1}, "nonsense"),
    ("/sensors", {"asset_id": "one"}, "asset_id"),
    ("/users", {"page": "x"}, "page"),
    ("/sensors", {"unit": "florps"}, "unit"),
    ("/accounts", {"sort_by": "plan"}, "sort_by"),
    ("/sources", {"only_latest": "perhaps"}, "only_latest"),
]


async def test_wrong_questions(toy: Person, subtests: pytest.Subtests) -> None:
    for path, params, field in WRONG_QUESTIONS:
        with subtests.test(path, params=params):
            refused = await toy.get(path, 422, **params)
            assert list(refused["message"]["query"]) == [field]


NASTY = ["'; drop table asset; --", '<script>alert("x")</script>', "%_\\", "Ω≈ç√∫ 🔋", "{0} {name}", "null", "../.."]


async def test_names_are_only_names(toy: Person, subtests: pytest.Subtests) -> None:
    for name in NASTY:
        with subtests.test(name):
            made = await toy.post("/assets", ASSET | {"name": name, "attributes": {"note": name}})
            assert made["name"] == name
            assert json.loads(made["attributes"]) == {"note": name}
            # The words of the filter must all occur in the name; none of their characters is special.
            found = await toy.get("/assets", page=1, filter=name)
            assert [asset["id"] for asset in found["data"]] == [made["id"]]


IDS = ["abc", "1.5", "-1", "0", "99999999999999999999", "%00", "1;2"]
PATHS = ["/assets/{}", "/sensors/{}", "/users/{}", "/accounts/{}", "/sensors/{}/data", "/jobs/{}"]


async def test_ids_that_nothing_has(toy: Person, subtests: pytest.Subtests) -> None:
    for path in [path.format(id) for path in PATHS for id in IDS]:
        with subtests.test(path):
            answer = await toy.client.get(f"/api/v3_0{path}")
            assert answer.status_code in (404, 422)
            assert answer.json()["message"]


async def test_unknown_paths_and_methods(house: House) -> None:
    unknown = await house.guest().get("/api/v3_0/nope")
    assert unknown.status_code == 404
    assert unknown.json()["status"] == 404
    wrong = await house.guest().put("/api/v3_0/assets/5", json={})
    assert wrong.status_code == 405
    assert wrong.json() == {"message": "The method is not allowed for the requested URL.", "status": 405}
    assert wrong.headers["FlexMeasures-Version"] == "1.0.1"


async def test_database_away_is_a_503_that_says_when(
    house: House, toy: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flexmodel.errors import Unavailable

    async def away() -> NoReturn:
        raise Unavailable("database")

    monkeypatch.setattr(house.store, "_acquire", away)
    answer = await toy.client.get("/api/v3_0/assets")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert "database" in answer.json()["message"]
    ready = await house.guest().get("/api/v3_0/health/ready")
    assert (ready.status_code, ready.json()["database_sql"]) == (503, False)
