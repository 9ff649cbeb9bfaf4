"""Invalid messages: the envelope, the field and the sentence of each error."""

import json
from pathlib import Path

import pytest
from flexmodel.errors import Invalid
from plants import Json, TriggerParser

CASES = json.loads(Path(__file__).with_name("refusals.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_invalid_message(case: Json, parse: TriggerParser, battery: Json) -> None:
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


def test_all_errors_are_reported_at_once(parse: TriggerParser) -> None:
    with pytest.raises(Invalid) as raised:
        parse.raw({"start": "x", "duration": "y", "flex-model": [{"sensor": 99}, {}], "foo": 1})
    assert set(raised.value.fields) == {"start", "duration", "flex-model", "foo"}
    assert set(raised.value.fields["flex-model"]) == {"0", "1"}


def test_errors_of_several_entries_are_reported_at_once(parse: TriggerParser, battery: Json) -> None:
    with pytest.raises(Invalid) as raised:
        parse([{**battery, "soc-max": "lots"}, {"sensor": 40, "power-capacity": "1 kWh"}])
    assert set(raised.value.fields) == {"soc-max", "power-capacity"}


@pytest.mark.parametrize("message", [None, [], "x", 5])
def test_message_that_is_no_mapping(message: object, parse: TriggerParser) -> None:
    with pytest.raises(Invalid) as raised:
        parse.raw(message)
    assert raised.value.fields == {"_schema": ["Invalid input type."]}
