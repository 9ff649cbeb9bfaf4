"""The tutorials on the command line: the toy account, prices from a file, and schedules."""

from pathlib import Path

import pytest
from commands import Command
from flexmesh import toy_account

DAY = "2026-11-22"
COST = "-4.655136"


@pytest.fixture(scope="module")
def ids(flexmesh: Command) -> dict[str, int]:
    """The ids that the tutorials' scripts read from the command, with the prices of a day loaded."""
    lines = flexmesh("add", "toy-account", "--kind", "battery", "--shell-vars").output.splitlines()
    return {name: int(value) for name, value in (line.split("=") for line in lines)}


@pytest.fixture(scope="module")
def prices(flexmesh: Command, ids: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("prices") / "prices-tomorrow.csv"
    lines = [f"{DAY}T{hour:02}:00:00,{price}" for hour, price in enumerate(toy_account.PRICES)]
    file.write_text("\n".join(["Hour,Price", *lines]))
    flexmesh("add", "beliefs", "--sensor", 1, "--source", "toy-user", file, "--timezone", "Europe/Amsterdam")
    return file


def test_the_ids_are_those_of_the_tutorials(ids: dict[str, int]) -> None:
    assert ids == {
        "FM_TOY_ACCOUNT_ID": 1,
        "FM_TOY_PRICE_SENSOR_ID": 1,
        "FM_TOY_BUILDING_ASSET_ID": 2,
        "FM_TOY_BATTERY_ASSET_ID": 3,
        "FM_TOY_BATTERY_SENSOR_ID": 2,
        "FM_TOY_SOLAR_ASSET_ID": 4,
        "FM_TOY_SOLAR_SENSOR_ID": 3,
    }


def test_a_second_toy_account_is_the_first(flexmesh: Command, ids: dict[str, int]) -> None:
    again = flexmesh("add", "toy-account", "--shell-vars").output
    assert again.splitlines() == [f"{name}={value}" for name, value in ids.items()]


@pytest.mark.parametrize(
    "options",
    [
        ("--soc-at-start", "50%", "--flex-model", '{"soc-min": "50 kWh"}'),
        ("--soc-at-start", "225 kWh"),
        ("--flex-model", '{"soc-at-start": "225 kWh"}', "--flex-context", '{"consumption-price": {"sensor": 1}}'),
    ],
)
def test_the_first_tutorial(flexmesh: Command, prices: Path, options: tuple[str, ...]) -> None:
    window = ("--start", f"{DAY}T07:00+01:00", "--duration", "PT12H")
    output = flexmesh("add", "schedule", "--sensor", 2, *window, *options).output
    assert "New schedule is stored." in output
    assert f"electricity net energy: {COST} EUR\n" in output


def test_the_way_older_tutorials_write_it(flexmesh: Command, prices: Path) -> None:
    window = ("--start", f"{DAY}T07:00+01:00", "--duration", "PT12H", "--soc-at-start", "50%")
    older = ("--consumption-price-sensor", 1, "--roundtrip-efficiency", "90%")
    assert COST in flexmesh("add", "schedule", "for-storage", "--sensor", 2, *window, *older).output


def test_the_schedule_can_be_seen_and_its_job_be_inspected(flexmesh: Command, prices: Path) -> None:
    window = ("--start", f"{DAY}T07:00+01:00", "--duration", "PT12H")
    flexmesh("add", "schedule", "--sensor", 2, *window, "--soc-at-start", "50%")
    assert "500 kW" in flexmesh("show", "beliefs", "--sensor", 2, *window).output
    newest = flexmesh("show", "jobs").output.splitlines()[1].split("\t")
    assert newest[1:3] == ["schedule", "FINISHED"]
    assert '"soc-at-start":"225 kWh"' in flexmesh("jobs", "inspect-job", "--job", newest[0]).output
    assert "schedule" in flexmesh("jobs", "show-queues").output


def test_the_tutorial_with_solar_panels(flexmesh: Command, prices: Path, tmp_path: Path) -> None:
    production = [0, 0, 0, 0, 10, 30, 60, 100, 140, 170, 190, 210, 220, 210, 190, 170, 140, 100, 60, 30, 10, 0, 0, 0]
    file = tmp_path / "solar-tomorrow.csv"
    lines = [f"{DAY}T{hour:02}:00:00,{power}" for hour, power in enumerate(production)]
    file.write_text("\n".join(["Hour,Price", *lines]))
    flexmesh("add", "source", "--name", "toy-forecaster", "--type", "forecaster")
    loaded = ("--sensor", 3, "--source", "toy-forecaster", file, "--timezone", "Europe/Amsterdam")
    flexmesh("add", "beliefs", *loaded)
    window = ("--start", f"{DAY}T07:00+01:00", "--duration", "PT12H", "--soc-at-start", "50%")
    context = ("--flex-context", '{"inflexible-device-sensors": [3]}')
    output = flexmesh("add", "schedule", "--sensor", 2, *window, *context).output
    assert "electricity net energy: -18.620429 EUR\n" in output
    flexible = '[{"sensor": 2}, {"sensor": 3, "consumption-capacity": "0 kW", "production-capacity": {"sensor": 3}}]'
    output = flexmesh("add", "schedule", "--asset", 2, *window, "--flex-model", flexible).output
    assert "New schedule is stored." in output


def test_a_job_for_a_worker_stays_in_the_queue(flexmesh: Command, prices: Path) -> None:
    window = ("--start", f"{DAY}T07:00+01:00", "--duration", "PT12H", "--soc-at-start", "20%")
    output = flexmesh("add", "schedule", "--sensor", 2, *window, "--as-job").output
    job = output.split()[3]
    assert f"{job}\tschedule\tQUEUED" in flexmesh("show", "jobs", "--status", "QUEUED").output
    assert "New schedule is stored." in flexmesh("jobs", "run-job", "--job", job).output
    assert f"{job}\tschedule\tFINISHED" in flexmesh("show", "jobs").output


def test_a_share_of_an_unknown_size_is_refused(flexmesh: Command, prices: Path) -> None:
    window = ("--start", f"{DAY}T07:00+01:00", "--duration", "PT12H", "--soc-at-start", "50%")
    result = flexmesh("add", "schedule", "--sensor", 3, *window, code=1)
    assert "50% of what? Give soc-max in the flex-model" in result.stderr


def test_a_schedule_that_cannot_be_made_says_why(flexmesh: Command, prices: Path) -> None:
    window = ("--start", "2030-01-01T07:00+01:00", "--duration", "PT12H", "--soc-at-start", "50%")
    result = flexmesh("add", "schedule", "--sensor", 2, *window, code=1)
    assert "2030" in result.stderr
    assert "Traceback" not in result.output


def test_the_process_account_stands_beside_the_battery(flexmesh: Command, ids: dict[str, int]) -> None:
    lines = flexmesh("add", "toy-account", "--kind", "process", "--shell-vars").output.splitlines()
    names = {line.split("=")[0] for line in lines}
    assert {"FM_TOY_PROCESS_SHIFTABLE_SENSOR_ID", "FM_TOY_PROCESS_ASSET_ID"} <= names
    assert f"FM_TOY_BUILDING_ASSET_ID={ids['FM_TOY_BUILDING_ASSET_ID']}" in lines
