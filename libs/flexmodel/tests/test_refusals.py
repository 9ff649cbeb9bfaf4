"""Messages that are refused, one by one: where the answer puts the problem, under which field, in which words."""

import json
from pathlib import Path
from typing import Any

import pytest
from flexmodel.errors import Invalid

CASES = json.loads(Path(__file__).with_name("refusals.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_refusal(case: dict[str, Any], read: Any, battery: dict[str, Any]):
    entry = {**battery, **case.get("entry", {})}
    context = {"consumption-price": {"sensor": 20}, **case.get("context", {})}
    message: dict[str, Any] = {
        "flex-model": [entry],
        "flex-context": {key: value for key, value in context.items() if key not in case.get("without_context", [])},
    }
    if case["on"] == "sensor":
        message["flex-model"] = {key: value for key, value in entry.items() if key != "sensor"}
    message |= case.get("message", {})
    with pytest.raises(Invalid) as refusal:
        read.raw(message, sensor_id=30 if case["on"] == "sensor" else None, without=case.get("without", []))
    assert refusal.value.fields == case["fields"]
    assert refusal.value.where == case["where"]


def test_all_problems_are_told_at_once(read: Any):
    with pytest.raises(Invalid) as refusal:
        read.raw({"start": "x", "duration": "y", "flex-model": [{"sensor": 99}, {}], "foo": 1})
    assert set(refusal.value.fields) == {"start", "duration", "flex-model", "foo"}
    assert set(refusal.value.fields["flex-model"]) == {"0", "1"}


def test_problems_of_several_entries_are_told_at_once(read: Any, battery: dict[str, Any]):
    with pytest.raises(Invalid) as refusal:
        read([{**battery, "soc-max": "lots"}, {"sensor": 40, "power-capacity": "1 kWh"}])
    assert set(refusal.value.fields) == {"soc-max", "power-capacity"}


@pytest.mark.parametrize("message", [None, [], "x", 5])
def test_what_is_no_message(message: Any, read: Any):
    with pytest.raises(Invalid) as refusal:
        read.raw(message)
    assert refusal.value.fields == {"_schema": ["Invalid input type."]}
