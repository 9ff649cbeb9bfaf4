"""Fixtures for tests of flex-models: a small site, and a parser of triggers on it."""

from datetime import datetime

import pytest
from flexmodel.parsing import ParseContext
from plants import START, Json, Plant, TriggerParser


@pytest.fixture
def start() -> datetime:
    return datetime.fromisoformat(START)


@pytest.fixture
def plant() -> Plant:
    return Plant()


@pytest.fixture
def context(plant: Plant) -> ParseContext:
    return ParseContext(plant(), timezone="Europe/Amsterdam")


@pytest.fixture
def parse(plant: Plant) -> TriggerParser:
    return TriggerParser(plant)


@pytest.fixture
def battery() -> Json:
    """A complete entry for the battery."""
    return {
        "sensor": 30,
        "soc-at-start": "20 kWh",
        "soc-min": "5 kWh",
        "soc-max": "90 kWh",
        "power-capacity": "20 kW",
        "roundtrip-efficiency": "81%",
    }
