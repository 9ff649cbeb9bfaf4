"""Messages that are refused, one by one: where the answer puts the problem, under which field, in which words."""

import json
from pathlib import Path
from typing import Any

import pytest
from flexmodel.errors import Invalid
from plants import Json, TriggerParser

CASES = json.loads(Path(__file__).with_name("refusals.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_refusal(case: Json, parse: TriggerParser, battery: Json) -> None:
    entry = {**battery, **case.get("entry", {})}
    context = {"consumption-price": {"sensor": 20}, **case.get("context", {})}
    message: Json = {
        "flex-model": [entry],
        "flex-context": {key: value for key, value in context.items() if key not in case.get("without_context", [])},
    }
    if case["on"] == "sensor":
        message["flex-model"] = {key: value for key, value in entry.items() if key != "sensor"}
    message |= case.get("message", {})
    with pytest.raises(Invalid) as raised:
        parse.raw(message, sensor_id=30 if case["on"] == "sensor" else None, without=case.get("without", []))
    assert raised.value.fields == case["fields"]
    assert raised.value.where == case["where"]


def test_all_problems_are_told_at_once(parse: TriggerParser) -> None:
    with pytest.raises(Invalid) as raised:
        parse.raw({"start": "x", "duration": "y", "flex-model": [{"sensor": 99}, {}], "foo": 1})
    assert set(raised.value.fields) == {"start", "duration", "flex-model", "foo"}
    assert set(raised.value.fields["flex-model"]) == {"0", "1"}


def test_problems_of_several_entries_are_told_at_once(parse: TriggerParser, battery: Json) -> None:
    with pytest.raises(Invalid) as raised:
        parse([{**battery, "soc-max": "lots"}, {"sensor": 40, "power-capacity": "1 kWh"}])
    assert set(raised.value.fields) == {"soc-max", "power-capacity"}


@pytest.mark.parametrize("message", [None, [], "x", 5])
def test_what_is_no_message(message: Any, parse: TriggerParser) -> None:
    with pytest.raises(Invalid) as raised:
        parse.raw(message)
    assert raised.value.fields == {"_schema": ["Invalid input type."]}
