"""Assets and sensors: creating, changing, listing, copying and deleting them, and the record of changes."""

import json
from datetime import UTC, datetime

import numpy as np
from flexstore import sources
from flexstore.series import BeliefBatch, to_datetime64, write_beliefs
from gateway_house import AddSite, House, Person, QueryParam


async def test_documents_come_and_go_as_text_or_json(toy: Person) -> None:
    model = {"soc-max": "90 kWh", "soc-min": "5 kWh"}
    for sent in (model, json.dumps(model)):
        name = f"battery {type(sent).__name__}"
        made = await toy.post("/assets", {"name": name, "generic_asset_type_id": 5, "flex_model": sent})
        assert json.loads(made["flex_model"]) == model
        assert made["attributes"] == "{}"
        assert made["sensors_to_show"] == "[]"


async def test_changes_are_kept_and_recorded(toy: Person, add_site: AddSite) -> None:
    building, price, battery, _ = await add_site()
    changed = await toy.patch(f"/assets/{battery}", {"latitude": 52.1, "attributes": {"a": 1}, "description": "new"})
    assert (changed["latitude"], changed["attributes"], changed["description"]) == (52.1, '{"a": 1}', "new")
    assert changed["status"] == 200
    await toy.patch(f"/assets/{battery}", {"description": None})
    await toy.patch(f"/sensors/{price}", {"name": "tariff", "event_resolution": "PT15M"})
    log = await toy.get(f"/assets/{battery}/auditlog")
    events = [entry["event"] for entry in log["data"]]
    assert events[0] == f"Created asset 'battery': {battery}"
    assert "latitude, Old value: None, New value: 52.1" in events[2]
    assert log["num-records"] == log["filtered-records"] == len(events) == 4
    events = [entry["event"] for entry in (await toy.get(f"/assets/{building}/auditlog"))["data"]]
    assert "Old value: price, New value: tariff" in events[-1]
    assert "Old value: PT1H, New value: PT15M" in events[-1]
    page = await toy.get(f"/assets/{battery}/auditlog", page=1, per_page=1, filter="latitude")
    assert (page["num-records"], page["filtered-records"], len(page["data"])) == (4, 1, 1)


async def test_nothing_is_recorded_when_nothing_changes(house: House, toy: Person, add_site: AddSite) -> None:
    building, *_ = await add_site()
    before = await house.fetch("select count(*) from audit_log")
    await toy.patch(f"/assets/{building}", {"name": "site"})
    await toy.patch(f"/assets/{building}", {}, status=422)
    assert await house.fetch("select count(*) from audit_log") == before


async def test_names_are_unique_where_people_look(house: House, toy: Person, add_site: AddSite) -> None:
    building, price, _, _ = await add_site()
    again = await toy.post("/assets", {"name": "site", "generic_asset_type_id": 6}, status=422)
    expected = "An asset with the name 'site' already exists as a top-level asset in account 1"
    assert again["message"] == {"json": {"name": [expected]}}
    child = {"name": "battery", "generic_asset_type_id": 5, "parent_asset_id": building}
    again = await toy.post("/assets", child, status=422)
    assert again["message"]["json"]["name"] == [
        f"An asset with the name 'battery' already exists under parent asset {building}"
    ]
    sensor = {"name": "price", "unit": "EUR/MWh", "event_resolution": "PT1H", "generic_asset_id": building}
    again = await toy.post("/sensors", sensor, status=422)
    assert "already exists" in again["message"]["json"]["name"][0]
    other = await toy.post("/sensors", sensor | {"name": "other"})
    await toy.patch(f"/sensors/{other['id']}", {"name": "price"}, status=422)
    await toy.patch(f"/sensors/{price}", {"name": "price"})
    # Another account may use the same name.
    stranger = await house.person("stranger", await house.account("other"), "account-admin")
    await stranger.post("/assets", {"name": "site", "generic_asset_type_id": 6})


async def test_an_asset_cannot_be_below_itself(toy: Person, add_site: AddSite) -> None:
    building, _, battery, _ = await add_site()
    for parent in (building, battery):
        refused = await toy.patch(f"/assets/{building}", {"parent_asset_id": parent}, status=422)
        assert refused["message"]["json"] == {"parent_asset_id": ["An asset cannot be below itself."]}
    moved = await toy.patch(f"/assets/{battery}", {"parent_asset_id": None})
    assert moved["parent_asset_id"] is None


async def test_a_tree_is_given_to_another_account_as_a_whole(house: House, toy: Person, add_site: AddSite) -> None:
    building, _, battery, power = await add_site()
    other = await house.account("other")
    await toy.patch(f"/assets/{building}", {"account_id": toy.account_id, "name": "the same account"})
    refused = await toy.patch(f"/assets/{building}", {"account_id": other}, status=422)
    assert refused["message"]["json"]["account_id"] == ["User is not allowed to create assets for this account."]
    admin = await house.person("admin", await house.account("operator"), "admin")
    refused = await admin.patch(f"/assets/{battery}", {"account_id": other}, status=422)
    assert refused["message"]["json"] == {"parent_asset_id": [f"Asset {building} belongs to another account."]}
    given = await admin.patch(f"/assets/{building}", {"account_id": other})
    assert given["owner"] == {"id": other, "name": "other"}
    assert given["child_assets"][0]["account_id"] == other
    await toy.get(f"/sensors/{power}", 403)
    for account in (toy.account_id, other):
        log = (await admin.client.get(f"/api/v1/accounts/{account}/auditlog")).json()["changes"]
        assert log[0]["details"]["account_id"] == {"before": toy.account_id, "after": other}
    public = await admin.patch(f"/assets/{building}", {"account_id": None})
    assert (public["owner"], public["child_assets"][0]["account_id"]) == (None, None)


async def test_where_copies_may_stand(house: House, toy: Person, add_site: AddSite) -> None:
    building, _, battery, _ = await add_site()
    for parent in (building, battery):
        refused = await toy.post(f"/assets/{building}/copy", params={"parent": parent}, status=422)
        assert list(refused["message"]["query"]) == ["parent"]
    at_the_top = await toy.post(f"/assets/{battery}/copy", params={"account": toy.account_id})
    assert (await toy.get(f"/assets/{at_the_top['asset']}"))["parent_asset_id"] is None
    other = await house.account("other")
    stranger = await house.person("stranger", other, "account-admin")
    foreign = await stranger.post("/assets", {"name": "theirs", "generic_asset_type_id": 5})
    for place in ({"account": other}, {"parent": foreign["id"]}):
        await toy.post(f"/assets/{battery}/copy", params=place, status=403)


async def test_what_stands_in_an_asset_is_of_its_account(house: House, toy: Person, add_site: AddSite) -> None:
    building, *_ = await add_site()
    admin = await house.person("admin", await house.account("operator"), "admin")
    stranger = await house.person("stranger", await house.account("other"), "account-admin")
    child = {"name": "new", "generic_asset_type_id": 5, "parent_asset_id": building}
    made = await admin.post("/assets", child)
    assert made["account_id"] == toy.account_id
    for account in ({}, {"account_id": stranger.account_id}):
        await stranger.post("/assets", child | account, status=403)


async def test_trees_show_what_may_be_seen(house: House, toy: Person, add_site: AddSite) -> None:
    building, *_ = await add_site()
    stranger = await house.person("stranger", await house.account("other"), "account-admin")
    assert await stranger.get("/assets", root=building) == []


async def test_trees_and_fields(toy: Person, add_site: AddSite) -> None:
    building, _, battery, _ = await add_site()
    cell = await toy.post("/assets", {"name": "cell", "generic_asset_type_id": 5, "parent_asset_id": battery})
    await add_site("elsewhere")
    for depth, ids in ((0, [building]), (1, [building, battery]), (2, [building, battery, cell["id"]])):
        assert await toy.get("/assets", root=building, depth=depth, fields="id") == [{"id": id} for id in ids]
    everything = await toy.get("/assets", root=building, fields="name|id")
    assert everything[0] == {"name": "site", "id": building}
    assert [list(asset) for asset in everything] == [["name", "id"]] * 3
    tops = await toy.get("/assets", depth=0, fields="name")
    assert tops == [{"name": "site"}, {"name": "elsewhere"}]


async def test_pages_and_sorting(toy: Person) -> None:
    for name in ("b", "C", "a", "d"):
        await toy.post("/assets", {"name": name, "generic_asset_type_id": 1})
    page = await toy.get("/assets", page=2, per_page=3, sort_by="name", sort_dir="asc")
    assert [asset["name"] for asset in page["data"]] == ["d"]
    assert (page["num-records"], page["filtered-records"]) == (4, 4)
    query: dict[str, QueryParam] = {"page": 1, "per-page": 2, "sort-by": "name", "sort-dir": "desc"}
    page = await toy.get("/assets", **query)
    assert [asset["name"] for asset in page["data"]] == ["d", "C"]
    assert len(await toy.get("/assets")) == 4


async def test_sensors_of_an_asset_and_below(toy: Person, add_site: AddSite) -> None:
    building, price, battery, power = await add_site()
    assert [sensor["id"] for sensor in await toy.get("/sensors", asset_id=building)] == [price, power]
    assert [sensor["id"] for sensor in (await toy.get(f"/assets/{building}/sensors"))["data"]] == [price]
    assert [sensor["id"] for sensor in await toy.get("/sensors", asset_id=battery)] == [power]
    assert [sensor["id"] for sensor in await toy.get("/sensors", unit="kW")] == [power]
    assert (await toy.get("/sensors", page=1, filter="pri"))["data"][0]["event_resolution"] == "PT1H"


async def test_deleting_takes_everything_below_along(house: House, toy: Person, add_site: AddSite) -> None:
    building, price, battery, power = await add_site()
    _, other_price, _, _ = await add_site("kept")
    starts = np.array(["2026-01-01T00:00"], "datetime64[us]")
    async with house.store.transaction() as con:
        source = await sources.ensure(con, "meter", "user")
        for sensor in (price, power, other_price):
            await write_beliefs(
                con, BeliefBatch(sensor, starts, to_datetime64(datetime.now(UTC)), np.array([1.0]), source)
            )
    await toy.delete(f"/assets/{building}")
    for path in (f"/assets/{building}", f"/assets/{battery}"):
        assert (await toy.get(path, 404))["message"].startswith("No asset found")
    await toy.get(f"/sensors/{power}", 422)
    assert [row["sensor_id"] for row in await house.fetch("select sensor_id from belief")] == [other_price]
    [row] = await house.fetch("select event, details from audit_log order by id desc limit 1")
    assert row["event"] == f"Deleted asset 'site': {building}"
    assert row["details"]["sensors"] == {"before": [price, power], "after": None}
    assert row["details"]["name"] == {"before": "site", "after": None}


async def test_a_copy_refers_to_its_own_sensors(toy: Person, add_site: AddSite) -> None:
    building, price, battery, power = await add_site()
    outside = (await add_site("outside"))[1]
    context = {"consumption-price": {"sensor": price}, "production-price": {"sensor": outside}}
    shown = [
        {"title": "Power", "plots": [{"sensors": [power, price]}, {"asset": battery, "flex-model": "soc-max"}]},
        price,
    ]
    await toy.patch(f"/assets/{building}", {"flex_context": context, "sensors_to_show": shown})
    copied = await toy.post(f"/assets/{building}/copy")
    copy = await toy.get(f"/assets/{copied['asset']}")
    assert copy["name"] == "site (Copy)"
    [new_price] = [sensor["id"] for sensor in copy["sensors"]]
    [child] = copy["child_assets"]
    [new_power] = [sensor["id"] for sensor in (await toy.get(f"/assets/{child['id']}"))["sensors"]]
    assert json.loads(copy["flex_context"]) == context | {"consumption-price": {"sensor": new_price}}
    assert json.loads(copy["sensors_to_show"]) == [
        {
            "title": "Power",
            "plots": [{"sensors": [new_power, new_price]}, {"asset": child["id"], "flex-model": "soc-max"}],
        },
        new_price,
    ]
    assert (await toy.get(f"/assets/{(await toy.post(f'/assets/{building}/copy'))['asset']}"))[
        "name"
    ] == "site (Copy 2)"
    moved = await toy.post(f"/assets/{battery}/copy", params={"parent": copied["asset"]})
    assert (await toy.get(f"/assets/{moved['asset']}"))["name"] == "battery (Copy)"


async def test_public_assets_are_templates_for_all(house: House, toy: Person) -> None:
    admin = await house.person("admin", await house.account("platform"), "admin")
    template = await admin.post("/assets", {"name": "template", "generic_asset_type_id": 5, "account_id": None})
    assert template["owner"] is None
    copied = await toy.post(f"/assets/{template['id']}/copy")
    copy = await toy.get(f"/assets/{copied['asset']}")
    assert (copy["account_id"], copy["name"]) == (toy.account_id, "template")


async def test_views_are_remembered(house: House, toy: Person) -> None:
    await toy.post("/assets/default_asset_view", {"default_asset_view": "Graphs"}, status=200)
    await toy.post("/assets/keep_legends_below_graphs", {"keep_legends_below_graphs": True}, status=200)
    [row] = await house.fetch("select preferences from users")
    assert row["preferences"] == {"default_asset_view": "Graphs", "keep_legends_below_graphs": True}
    body = {"default_asset_view": "Graphs", "use_as_default": False}
    await toy.post("/assets/default_asset_view", body, status=200)
    [row] = await house.fetch("select preferences from users")
    assert row["preferences"] == {"keep_legends_below_graphs": True}
    await toy.post("/assets/default_asset_view", {"default_asset_view": "Upside down"}, status=422)


async def test_accounts_and_users_are_managed(house: House, toy: Person) -> None:
    admin = await house.person("admin", await house.account("platform"), "admin")
    made = await admin.post("/accounts", {"name": "client", "consultancy_account_id": toy.account_id})
    assert made["consultancy_account_id"] == toy.account_id
    again = await admin.post("/accounts", {"name": "client"}, status=422)
    assert "already exists" in again["message"]["json"]["name"][0]
    changed = await toy.patch(f"/accounts/{toy.account_id}", {"primary_color": "#1a3443", "attributes": {"x": 1}})
    assert (changed["primary_color"], changed["attributes"]) == ("#1a3443", '{"x": 1}')
    await toy.patch(f"/accounts/{toy.account_id}", {"plan_id": 3}, status=403)
    paged = await admin.get("/accounts", page=1, sort_by="users", sort_dir="desc")
    assert [account["user_count"] for account in paged["data"]] == [1, 1, 0]
    user = await toy.post("/users", {"email": "new@example.com", "username": "new"})
    assert (user["account_id"], user["flexmeasures_roles"], user["active"]) == (toy.account_id, [], True)
    for twice in ({"email": "NEW@example.com", "username": "x"}, {"email": "x@example.com", "username": "new"}):
        await toy.post("/users", twice, status=422)
    await toy.patch(f"/users/{user['id']}", {"active": False})
    assert [one["username"] for one in await toy.get("/users")] == ["toy-user"]
    assert len(await toy.get("/users", include_inactive=True)) == 2
    log = await toy.get(f"/users/{user['id']}/auditlog")
    assert [entry["active_user_name"] for entry in log] == ["toy-user", "toy-user"]
    assert "password" not in json.dumps(
        [dict(row) for row in await house.fetch("select event, details from audit_log")]
    )


async def test_remarks_are_made_once(toy: Person, add_site: AddSite) -> None:
    building, price, *_ = await add_site()
    remark = {"content": "note", "start": "2026-03-02T00:00:00+01:00", "end": "2026-03-02T05:00:00+01:00"}
    first = await toy.post(f"/sensors/{price}/annotations", remark)
    assert first == {
        "content": "note", "end": "2026-03-02T04:00:00+00:00", "id": 1, "prior": None, "source": 1,
        "start": "2026-03-01T23:00:00+00:00", "type": "label",
    }  # fmt: skip
    assert await toy.post(f"/assets/{building}/annotations", remark, status=200) == first
    backwards = await toy.post(f"/assets/{building}/annotations", remark | {"end": remark["start"]}, status=422)
    assert "end must be after" in json.dumps(backwards)
    shown = await toy.get(
        f"/assets/{building}/chart_annotations", start="2026-03-02T03:00+01:00", duration="PT1H", clip=True
    )
    assert [(one["content"], one["end"] - one["start"]) for one in shown] == [(["note"], 3_600_000)]


async def test_stored_configuration_may_name_a_group_and_must_name_price_sensors(toy: Person) -> None:
    inverter = (await toy.post("/assets", {"name": "inverter", "generic_asset_type_id": 5}))["id"]
    member = {"power-capacity": "5 kW", "group": {"asset": inverter}}
    made = await toy.post("/assets", {"name": "panels", "generic_asset_type_id": 1, "flex_model": member})
    assert json.loads(made["flex_model"]) == member
    fixed = {"flex_context": {"consumption-price": "100 EUR/MWh"}}
    refused = await toy.patch(f"/assets/{inverter}", fixed, status=422)
    assert "consumption-price" in refused["message"]["json"]
