"""Series of many sensors, posted together: permission for each, errors by item, once under one key."""

import json
from typing import Any

import pytest
from gateway_house import AddSite, House, JsonBody, JsonObject, Person, World

DONE = {"items": 2, "new": 2, "changed": 0, "unchanged": 0, "refused": {}}


def item(sensor: object, value: float = 1) -> JsonObject:
    return {"sensor": sensor, "start": "2026-03-02T00:00Z", "duration": "PT15M", "unit": "kW", "values": [value]}


async def post(
    person: Person, *items: object, status: int = 200, partial: bool = False, key: str | None = None
) -> JsonBody:
    path = "/api/v1/data?partial=true" if partial else "/api/v1/data"
    answer = await person.client.post(path, json=list(items), headers={"Idempotency-Key": key} if key else {})
    assert answer.status_code == status, answer.text
    return answer.json()


def passed_on(house: House) -> list[Any]:
    return [json.loads(body) for _, _, body in house.ingest.received]


async def test_items_are_passed_on_for_the_caller(house: House, toy: Person, add_site: AddSite) -> None:
    _, price, _, power = await add_site()
    house.ingest.answer = (200, DONE)
    items = [item(power), item(price) | {"probabilities": [0.1, 0.9], "values": [[1, 2]]}]
    assert await post(toy, *items) == {"message": "Sensor data has been stored.", **DONE}
    [(path, headers, body)] = house.ingest.received
    assert path == "/internal/data"
    assert json.loads(body) == items
    assert headers["x-flexmesh-user"] == str(toy.user_id)


@pytest.mark.parametrize("body", ["{}", "[]", "5", '"x"', "null"])
async def test_only_a_list_of_items_is_taken(house: House, toy: Person, body: str) -> None:
    answer = await toy.client.post("/api/v1/data", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["fields"] == {"_schema": ["Send a JSON array with one item per sensor."]}
    broken = await toy.client.post("/api/v1/data", content="[{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 400
    assert (
        await toy.client.post("/api/v1/data", content="[]", headers={"Content-Type": "text/csv"})
    ).status_code == 415
    assert not house.ingest.received


async def test_refusals_name_the_item_as_it_was_sent(house: House, toy: Person, add_site: AddSite) -> None:
    *_, power = await add_site()
    house.ingest.answer = (422, {"detail": "x", "fields": {"1": {"unit": ["Wrong."]}}})
    answer = await post(toy, item(power), item(power), status=422)
    assert answer["fields"] == {"1": {"unit": ["Wrong."]}}
    assert answer["detail"].startswith("1.unit: Wrong.")
    # Items that the gateway left out are counted, too.
    answer = await post(toy, item(999), item(power), item(power), status=422, partial=True)
    assert answer["fields"] == {"0": {"sensor": ["Sensor 999 not found"]}, "2": {"unit": ["Wrong."]}}
    house.ingest.answer = (200, DONE | {"items": 1, "refused": {"1": {"unit": ["Wrong."]}}})
    answer = await post(toy, item(999), item(power), item(power), partial=True)
    assert answer["refused"] == {"0": {"sensor": ["Sensor 999 not found"]}, "2": {"unit": ["Wrong."]}}
    assert [one["sensor"] for one in passed_on(house)[-1]] == [power, power]


async def test_who_may_post_to_what(house: House, world: World) -> None:
    sensors = {place: (await world.things(place))["sensor"] for place in world.accounts}
    may = {"A": {"own", "client", "foreign", "public"}, "M": {"own"}, "P": {"own"}, "C": {"own", "client"},
           "V": set(), "R": set()}  # fmt: skip
    house.ingest.answer = (200, DONE)
    for letter, places in may.items():
        person, numbers = world.people[letter], {place: number for number, place in enumerate(sensors)}
        items = [item(id) for id in sensors.values()]
        refused = {
            str(numbers[place]): {"sensor": [f"You cannot be authorized for sensor {sensors[place]}."]}
            for place in sensors
            if place not in places
        }
        house.ingest.received.clear()
        if refused:
            assert (await post(person, *items, status=403))["fields"] == refused
            unknown = await post(person, *items, item(999), status=404)
            assert unknown["fields"] == refused | {"4": {"sensor": ["Sensor 999 not found"]}}
            assert not house.ingest.received
        if places:
            assert (await post(person, *items, partial=True))["refused"] == refused
            assert [one["sensor"] for one in passed_on(house)[-1]] == [
                sensors[place] for place in sensors if place in places
            ]
        else:
            assert (await post(person, *items, status=403, partial=True))["fields"] == refused
            assert not house.ingest.received


async def test_who_may_read_what_together(world: World) -> None:
    sensors = {place: (await world.things(place))["sensor"] for place in world.accounts}
    may = {"A": "own client foreign public", "R": "own client foreign public", "M": "own public", "P": "own public",
           "V": "own public", "C": "own client public"}  # fmt: skip
    window = {"start": "2026-03-02T00:00Z", "duration": "PT15M"}
    for path, query, name in (("/data", window, "series"), ("/data/latest", {}, "latest")):
        for letter, places in may.items():
            person = world.people[letter]
            visible = [id for place, id in sensors.items() if place in places.split()]
            hidden = [id for id in sensors.values() if id not in visible]
            good = await person.client.get(f"/api/v1{path}", params=query | {"sensor": visible})
            assert [one["sensor"] for one in good.json()[name]] == visible
            if hidden:
                sentences = [f"You cannot be authorized for sensor {id}." for id in hidden]
                bad = await person.client.get(f"/api/v1{path}", params=query | {"sensor": [*sensors.values()]})
                assert (bad.status_code, bad.json()["fields"]) == (403, {"sensor": sentences})
            bad = await person.client.get(f"/api/v1{path}", params=query | {"sensor": [*visible, 998, 999]})
            assert bad.status_code == 404
            assert bad.json()["fields"] == {"sensor": ["Sensor 998 not found", "Sensor 999 not found"]}


async def test_sensors_that_cannot_be(house: House, toy: Person, add_site: AddSite) -> None:
    *_, power = await add_site()
    house.ingest.answer = (422, {"detail": "x", "fields": {"1": {"sensor": ["Not the id of a sensor."]}}})
    for odd in (True, "5", None, [power], 1.5):  # reported by the parser of the items
        assert (await post(toy, item(power), item(odd), status=422))["fields"].keys() == {"1"}
    for odd in (-1, 0, 2**31, 10**18):
        answer = await post(toy, item(power), item(odd), status=404)
        assert answer["fields"] == {"1": {"sensor": [f"Sensor {odd} not found"]}}


async def test_a_batch_is_stored_once_under_its_key(house: House, toy: Person, add_site: AddSite) -> None:
    *_, power = await add_site()
    house.ingest.answer = (200, DONE)
    first, again = [await post(toy, item(power), key="monday") for _ in range(2)]
    assert first == again
    assert len(house.ingest.received) == 1
    await post(toy, item(power, 2), status=422, key="monday")
    await post(toy, item(power), status=422, partial=True, key="monday")
    house.ingest.answer = (422, {"detail": "x", "fields": {"0": {"unit": ["Wrong."]}}})
    await post(toy, item(power), status=422, key="tuesday")
    house.ingest.answer = (200, DONE)
    assert (await post(toy, item(power), key="tuesday"))["items"] == 2
