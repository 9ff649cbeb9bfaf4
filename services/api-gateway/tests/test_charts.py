"""Charts of assets: the graphs, their data and annotations, and figures, as existing clients expect them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from gateway_house import AddBeliefs, AddSite, Person, QueryParam

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = 3_600_000
DAY = {"start": START.isoformat(), "end": (START + timedelta(days=1)).isoformat()}


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


async def test_graphs_are_those_chosen(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    building, price, battery, power = await add_site()
    await know(price, [1, 2], 60)
    graphs = [{"title": "Prices", "plots": [{"asset": building, "flex-context": "consumption-price"}]}, power]
    context = {"consumption-price": {"sensor": price}}
    await toy.patch(f"/assets/{building}", {"sensors_to_show": graphs, "flex_context": context})
    chart = await toy.get(f"/assets/{building}/chart", **DAY)
    assert chart["data"] == {"name": f"asset_{building}"}
    assert "datasets" not in chart
    assert [panel["title"] for panel in chart["vconcat"]] == ["Prices", "power"]
    [lines] = chart["vconcat"][0]["layer"]
    assert lines["transform"] == [{"filter": {"field": "sensor.id", "oneOf": [price]}}]
    assert lines["encoding"]["x"]["scale"]["domain"] == [milliseconds(START), milliseconds(START) + 24 * HOUR]
    # By default each sensor has its own graph; without a period, the axis goes as far as the values.
    [own] = (await toy.get(f"/assets/{battery}/chart"))["vconcat"]
    assert "scale" not in own["layer"][0]["encoding"]["x"]


async def test_chart_brings_its_data_along(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    building, price, *_ = await add_site()
    await know(price, [1, 2], 60)
    remark = {"content": "holiday", "start": DAY["start"], "end": DAY["end"]}
    await toy.post(f"/assets/{building}/annotations", remark)
    names: dict[str, QueryParam] = {
        "dataset-name": "mine",
        "include-data": True,
        "include-asset-annotations": True,
        "combine-legend": False,
    }
    chart = await toy.get(f"/assets/{building}/chart", **DAY, **names, height="200", width="tall")
    assert (chart["height"], chart["width"], chart["data"]) == (200, "container", {"name": "mine"})
    assert chart["resolve"] == {"scale": {"x": "shared", "color": "independent"}}
    assert chart["datasets"]["mine"] == await toy.get(f"/assets/{building}/chart_data", **DAY)
    annotations = await toy.get(f"/assets/{building}/chart_annotations", **DAY)
    assert chart["datasets"]["mine_annotations"] == annotations != []
    shade, _lines = chart["vconcat"][0]["layer"]
    assert shade["data"] == {"name": "mine_annotations"}


async def test_data_of_a_chart(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    _building, _price, battery, power = await add_site()
    meter = await know(power, [1, 2], 15)
    oracle = await know(power, [3], 15, source="oracle", kind="forecaster", at=START - timedelta(hours=1))
    data = await toy.get(f"/assets/{battery}/chart_data", **DAY)
    assert [(row["event_value"], row["source"]["type"]) for row in data] == [
        (1, "other"), (3, "forecaster"), (2, "other"),
    ]  # fmt: skip
    assert data[1] == {
        "index": 1,
        "event_start": milliseconds(START),
        "event_value": 3.0,
        "belief_horizon": HOUR + HOUR // 4,
        "scale_factor": 1.0,
        "sensor_unit": "kW",
        "sensor": {
            "id": power,
            "name": "power",
            "sensor_unit": "kW",
            "event_resolution": 900.0,
            "asset_id": battery,
            "description": "power (battery)",
            "asset_description": "battery (site)",
        },
        "source": {
            "id": oracle,
            "name": "oracle",
            "type": "forecaster",
            "raw_type": "forecaster",
            "display_type": "forecaster",
            "model": "",
            "version": "",
            "description": "oracle",
        },
    }
    small = await toy.get(f"/assets/{battery}/chart_data", **DAY, **{"compress-json": True})
    assert [(row["val"], row["src"], row["sf"]) for row in small["data"]] == [
        (1, meter, 1), (3, oracle, 1), (2, meter, 1),
    ]  # fmt: skip
    assert small["sensors"][str(power)]["unit"] == "kW"
    assert small["sources"][str(oracle)] == {k: v for k, v in data[1]["source"].items() if k != "id"}


async def test_everything_that_was_ever_believed(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    _building, _price, battery, power = await add_site()
    await know(power, [1], 15, at=START - timedelta(hours=2))
    await know(power, [2], 15, at=START - timedelta(hours=1))
    assert [row["event_value"] for row in await toy.get(f"/assets/{battery}/chart_data")] == [2]
    before = {"prior": (START - timedelta(hours=1.5)).isoformat()}
    assert [row["event_value"] for row in await toy.get(f"/assets/{battery}/chart_data", **before)] == [1]
    everything = {"most-recent-beliefs-only": False}
    rows = await toy.get(f"/assets/{battery}/chart_data", **everything)
    assert [(row["event_value"], row["belief_time"]) for row in rows] == [
        (1, milliseconds(START) - 2 * HOUR),
        (2, milliseconds(START) - HOUR),
    ]
    small = await toy.get(f"/assets/{battery}/chart_data", **everything, **{"compress-json": True})
    assert [row["bt"] for row in small["data"]] == [row["belief_time"] for row in rows]


async def test_of_too_much_data_the_days_are_shown(
    toy: Person, add_site: AddSite, know: AddBeliefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api_gateway.charts import service

    monkeypatch.setattr(service, "MOST_ROWS", 3)
    _building, _price, battery, power = await add_site()
    await know(power, [1, 2, 3], 15)
    assert len(await toy.get(f"/assets/{battery}/chart_data")) == 3
    other = await know(power, [4], 15, source="other")
    days = await toy.get(f"/assets/{battery}/chart_data")
    assert [(row["event_start"], row["event_value"], row["source"]["name"]) for row in days] == [
        (milliseconds(START), 2.0, "meter"),
        (milliseconds(START), 4.0, "other"),
    ]
    small = await toy.get(f"/assets/{battery}/chart_data", **{"compress-json": True})
    assert [(row["val"], row["src"]) for row in small["data"]][1] == (4.0, other)


async def test_too_many_beliefs_are_refused_before_they_are_read(
    toy: Person, add_site: AddSite, know: AddBeliefs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from api_gateway.charts import service

    monkeypatch.setattr(service, "MOST_ROWS", 3)
    _building, _price, battery, power = await add_site()
    await know(power, [1, 2, 3, 4], 15)
    refused = await toy.get(f"/assets/{battery}/chart_data", 422, **{"most-recent-beliefs-only": False})
    assert "more than 3 values" in refused["message"]["query"]["end"][0]


async def test_annotations_of_a_chart(toy: Person, add_site: AddSite) -> None:
    building, price, *_ = await add_site()
    long = "A remark that is too long for one line of a chart goes on below."
    remark = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-03T00:00:00Z"}
    await toy.post(f"/assets/{building}/annotations", remark | {"content": long, "prior": remark["start"]})
    await toy.post(f"/sensors/{price}/annotations", remark | {"content": "short", "type": "alert"})
    first, second = await toy.get(f"/assets/{building}/chart_annotations", **DAY)
    assert first == {
        "index": 0,
        "start": milliseconds(START),
        "end": milliseconds(START) + 24 * HOUR,
        "belief_time": milliseconds(START) - 24 * HOUR,
        "source": "toy-user",
        "type": "label",
        "content": ["A remark that is too long for one line of a chart goes on", "below."],
    }
    assert (second["index"], second["belief_time"], second["type"]) == (1, None, "alert")
    whole, _ = await toy.get(f"/assets/{building}/chart_annotations", **DAY, clip=False)
    assert (whole["start"], whole["end"]) == (milliseconds(START) - 24 * HOUR, milliseconds(START) + 24 * HOUR)
    assert len(await toy.get(f"/assets/{building}/chart_annotations")) == 2
    early = {"start": "2026-02-01T00:00:00Z", "duration": "P1D"}
    assert await toy.get(f"/assets/{building}/chart_annotations", **early) == []


async def test_figures(toy: Person, add_site: AddSite, know: AddBeliefs) -> None:
    building, price, *_ = await add_site()
    await know(price, [1, 2, 6], 60)
    functions = ["sum", "mean", "median", "min", "max"]
    chosen: list[dict[str, Any]] = [{"title": name, "sensor": price, "function": name} for name in functions]
    chosen.append({"sensor": price})
    await toy.patch(f"/assets/{building}", {"sensors_to_show_as_kpis": chosen})
    figures = (await toy.get(f"/assets/{building}/kpis", **DAY))["data"]
    assert figures[0] == {
        "title": "sum", "unit": "EUR/MWh", "sensor": price, "downsample_function": "sum", "downsample_value": 9.0,
    }  # fmt: skip
    assert [figure["downsample_value"] for figure in figures] == [9, 3, 2, 1, 6, 9]
    assert (figures[5]["title"], figures[5]["downsample_function"]) == ("price", "sum")
    # Nothing adds up to nothing, but it has no mean.
    empty = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
    figures = (await toy.get(f"/assets/{building}/kpis", **empty))["data"]
    assert [figure["downsample_value"] for figure in figures] == [0, None, None, None, None, 0]
    missing = await toy.get(f"/assets/{building}/kpis", 422)
    assert list(missing["message"]["query"]) == ["end", "start"]


WRONG = [
    ({"duration": "P1D"}, "duration"),
    ({"start": DAY["start"], "duration": "-P1D"}, "duration"),
    ({"start": DAY["start"], "duration": "P9999Y"}, "duration"),
    (DAY | {"duration": "P1D"}, "_schema"),
    ({"start": DAY["end"], "end": DAY["start"]}, "_schema"),
    ({"prior": "yesterday"}, "prior"),
]


async def test_wrong_periods(toy: Person, add_site: AddSite, subtests: pytest.Subtests) -> None:
    building, *_ = await add_site()
    for page in ("chart", "chart_data", "chart_annotations"):
        for params, field in WRONG:
            with subtests.test(page, params=params):
                refused = await toy.get(f"/assets/{building}/{page}", 422, **params)
                assert list(refused["message"]["query"]) == [field]
