"""The commands add, show, edit, delete, jobs, db and doctor against a real database."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from commands import Command
from typer.testing import Result

PASSWORD = ("--password", "a long enough one")


@pytest.fixture(scope="module")
def account(flexmesh: Command) -> int:
    return added(flexmesh("add", "account", "--name", "Smart Energy"))


@pytest.fixture(scope="module")
def site(flexmesh: Command, account: int) -> int:
    return added(flexmesh("add", "asset", "--name", "site", "--account", account, "--asset-type", 6))


@pytest.fixture
def meter(flexmesh: Command, site: int, request: pytest.FixtureRequest) -> int:
    name = request.node.name[:100]
    options = ("--unit", "kW", "--event-resolution", "PT15M", "--timezone", "Europe/Amsterdam", "--asset", site)
    return added(flexmesh("add", "sensor", "--name", name, *options))


def added(result: Result) -> int:
    """Return the id that a command printed."""
    found = re.search(r"\(?ID (\d+)", result.output)
    assert found, result.output
    return int(found[1])


def rows(result: Result) -> list[list[str]]:
    """Return the cells of a printed table, without the header."""
    return [line.split("\t") for line in result.output.splitlines()[1:] if "\t" in line]


def test_help_names_every_group(flexmesh: Command) -> None:
    output = flexmesh("--help").output
    assert all(name in output for name in ("up", "serve", "worker", "doctor", "add", "show", "edit", "delete", "db"))


def test_help_does_not_wait_for_the_platform() -> None:
    program = "import sys; sys.argv = ['flexmesh', '--help']; from flexmesh.cli import app; app(standalone_mode=False);"
    look = (
        "print([name for name in ('asyncpg', 'celery', 'fastapi', 'numpy', 'polars', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program + look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_database_is_made_on_first_use_and_may_be_upgraded_twice(flexmesh: Command) -> None:
    assert "at revision" in flexmesh("db", "upgrade").output
    assert "(the newest)" in flexmesh("db", "current").output
    flexmesh("add", "initial-structure")


def test_an_account_with_a_role_and_a_user(flexmesh: Command) -> None:
    flexmesh("add", "account-role", "--name", "Prosumer", "--description", "Makes power and uses it.")
    account = added(flexmesh("add", "account", "--name", "Sunny", "--roles", "Prosumer", "--primary-color", "#1a3443"))
    listed = {row[1]: row for row in rows(flexmesh("show", "accounts"))}
    assert listed["Sunny"] == [str(account), "Sunny", "0", "0", "Prosumer"]
    login = ("--email", "sun@example.org", "--account-id", account, "--roles", "account-admin")
    flexmesh("add", "user", "--username", "sun", *login, "--password", "a long enough one")
    (user,) = rows(flexmesh("show", "users", "--account", account))
    assert user[1:4] == ["sun", "sun@example.org", str(account)]
    assert user[6] == "account-admin"
    assert "sun@example.org" in flexmesh("show", "account", "--id", account).output


def test_a_webhook_of_an_account(flexmesh: Command, account: int) -> None:
    asset = added(flexmesh("add", "asset", "--name", "site of the webhook", "--asset-type", 6, "--account", account))
    told = ("--url", "https://example.com/secret-path", "--events", "schedule.finished,schedule.failed")
    made = flexmesh("add", "webhook", "--account", account, *told, "--asset", asset, "--description", "BMS")
    assert made.output.splitlines()[-1].startswith("whsec_")
    (listed,) = rows(flexmesh("show", "webhooks", "--account", account))
    assert listed[1:] == [
        str(account), "https://example.com", "schedule.finished, schedule.failed", str(asset), "all", "on", "BMS",
    ]  # fmt: skip
    assert "https://example.com was deleted" in flexmesh("delete", "webhook", "--id", listed[0], "--force").output
    assert "no webhooks" in flexmesh("show", "webhooks").output
    assert "no webhook with id" in flexmesh("delete", "webhook", "--id", listed[0], "--force", code=1).output
    assert "not an address" in flexmesh("add", "webhook", "--account", account, "--url", "x", code=1).output
    assert "no account with id 4711" in flexmesh("add", "webhook", "--account", 4711, *told, code=1).output


def test_an_api_key_of_a_user(flexmesh: Command, account: int) -> None:
    login = ("--username", "machine", "--email", "machine@example.org", "--account", account)
    flexmesh("add", "user", *login, *PASSWORD)
    key = ("--user", "machine@example.org", "--name", "Grafana", "--scopes", "read, write")
    made = flexmesh("add", "api-key", *key, "--only-account", account, "--expires", "2099-01-01T00:00Z")
    secret = made.output.splitlines()[-1]
    (listed,) = rows(flexmesh("show", "api-keys", "--account", account))
    assert listed[:3] == [str(added(made)), "Grafana", f"{secret[:8]}…"]
    assert listed[3:7] == ["machine", str(account), "read, write", str(account)]
    assert listed[9] == "2099-01-01T00:00:00+00:00"
    assert "Grafana" in flexmesh("delete", "api-key", "--id", added(made), "--force").output
    assert "no API keys" in flexmesh("show", "api-keys").output
    assert "no API key with id" in flexmesh("delete", "api-key", "--id", added(made), "--force", code=1).output
    assert "'login' is not one of" in flexmesh("add", "api-key", *key[:4], "--scopes", "login", code=1).output
    assert "no active user 'nobody'" in flexmesh("add", "api-key", "--user", "nobody", *key[2:], code=1).output


def test_a_new_password_is_not_the_first_that_anybody_tries(flexmesh: Command, account: int) -> None:
    login = ("--username", "lazy", "--email", "lazy@example.org", "--account", account)
    assert "at least 10 characters" in flexmesh("add", "user", *login, "--password", "short", code=1).output
    assert "too easy to guess" in flexmesh("add", "user", *login, "--password", "Password2026!", code=1).output


def test_a_password_is_asked_for_when_none_is_given(flexmesh: Command, account: int) -> None:
    login = ("--username", "asked", "--email", "asked@example.org", "--account", account)
    output = flexmesh("add", "user", *login, answers="very secret\nvery secret\n").output
    assert "very secret" not in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add", "account", "--name", "Smart Energy"), "An account with the name 'Smart Energy' already exists"),
        (("add", "account", "--name", "x", "--roles", "Nobody"), "There is no account role named 'Nobody'"),
        (
            (
                "add",
                "user",
                "--username",
                "y",
                "--email",
                "y@x.org",
                "--account",
                "1",
                "--roles",
                "king",
                "--password",
                "x",
            ),
            "There is no role named 'king'. The roles are: admin",
        ),
        (("add", "asset", "--name", "a", "--asset-type", "99"), "GenericAssetType with id 99 doesn't exist"),
        (("add", "asset", "--name", "a", "--asset-type", "5", "--account", "99"), "Account with Id 99 doesn't exist"),
        (
            ("add", "sensor", "--name", "s", "--unit", "nonsense", "--event-resolution", "PT15M", "--asset", "1"),
            "unit",
        ),
        (
            ("add", "sensor", "--name", "s", "--unit", "kW", "--event-resolution", "often", "--asset", "1"),
            "event_resolution",
        ),
        (("jobs", "run-job", "--job", "00000000-0000-0000-0000-000000000000"), "There is no job 00000000"),
        (("show", "asset", "--id", "9999"), "There is no asset with id 9999"),
        (("jobs", "inspect-job", "--job", "nonsense"), "There is no job nonsense"),
        (("delete", "sensor", "--id", "9999", "--force"), "There is no sensor with id 9999"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_one(
    flexmesh: Command, account: int, site: int, arguments: tuple[str, ...], sentence: str
) -> None:
    result = flexmesh(*arguments, code=1)
    assert sentence in result.stderr
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("serve", "nothing"), "'nothing' is not one of: gateway, ingest"),
        (("worker", "nothing"), "'nothing' is not one of: schedule"),
        (("show", "beliefs", "--sensor", "1", "--start", "tomorrow", "--duration", "PT1H"), "'tomorrow' is no moment"),
        (("show", "beliefs", "--sensor", "1", "--start", "2026-01-01T00:00", "--duration", "PT1H"), "is no moment"),
        (("jobs", "run-worker", "--queue", "forecasting"), "'forecasting' names none of the queues"),
        (("jobs", "run-job", "--job", "nonsense"), "'nonsense' is no ID of a job"),
        (("add", "toy-account", "--kind", "boat"), "'boat' is not one of: battery, process"),
        (("add", "schedule", "--start", "2026-01-01T00:00Z", "--duration", "PT1H"), "Give either --sensor or --asset"),
        (("add", "asset", "--name", "a", "--asset-type", "5", "--flex-model", "{oops"), "This is not JSON"),
        (("edit", "attribute", "--attribute", "x", "--asset", "1"), "Give exactly one of --float"),
    ],
)
def test_a_wrong_option_is_named_with_exit_code_two(
    flexmesh: Command, arguments: tuple[str, ...], sentence: str
) -> None:
    assert sentence in flexmesh(*arguments, code=2).stderr.replace("\n", " ")


def test_an_asset_with_its_configuration(flexmesh: Command, account: int, site: int, tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    model.write_text(json.dumps({"soc-max": "10 kWh", "power-capacity": "5 kW"}))
    place = (
        "--account-id",
        account,
        "--asset-type-id",
        5,
        "--parent-asset",
        site,
        "--latitude",
        52.1,
        "--longitude",
        4.9,
    )
    battery = added(flexmesh("add", "asset", "--name", "battery", "--asset-type-id", 5, *place, "--flex-model", model))
    output = flexmesh("show", "asset", "--id", battery).output
    assert '"soc-max":"10 kWh"' in output
    assert f"parent_asset_id\t{site}" in output
    assert [
        battery_row
        for battery_row in rows(flexmesh("show", "assets", "--account", account))
        if "battery" in battery_row
    ]


def csv_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "values.csv"
    file.write_text(text)
    return file


def values_of(flexmesh: Command, sensor: int, tmp_path: Path, *options: object) -> list[tuple[str, float]]:
    file = tmp_path / "read.csv"
    window = ("--start", "2026-03-01T00:00+01:00", "--duration", "P1D", "--to-file", file)
    flexmesh("show", "beliefs", "--sensor", sensor, *window, *options)
    lines = [line.split(",") for line in file.read_text().splitlines()[1:]]
    return [(start, float(value)) for start, _, value, _ in lines]


def test_values_in_local_time_are_stored_in_the_sensors_unit(flexmesh: Command, meter: int, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "Time,Power\n2026-03-01T00:00:00,0.1\n2026-03-01T00:15:00,0.2\n")
    options = ("--source", "me", "--timezone", "Europe/Amsterdam", "--unit", "MW")
    assert "Stored 2 new" in flexmesh("add", "beliefs", "--sensor", meter, file, *options).output
    assert "2 were there" in flexmesh("add", "beliefs", "--sensor", meter, file, *options).output
    expected = [("2026-03-01T00:00:00+01:00", 100.0), ("2026-03-01T00:15:00+01:00", 200.0)]
    assert values_of(flexmesh, meter, tmp_path) == expected
    assert ["me", "CLI script"] in [row[1:3] for row in rows(flexmesh("show", "data-sources"))]


def test_a_file_of_another_layout(flexmesh: Command, meter: int, tmp_path: Path) -> None:
    text = "made by hand\nkind;when;power\na;01.03.2026 00:00;1.000,5\nb;01.03.2026 00:00;7\na;01.03.2026 00:15;-\n"
    file = csv_file(tmp_path, text)
    layout = (
        "--skiprows",
        2,
        "--datecol",
        1,
        "--valuecol",
        2,
        "--delimiter",
        ";",
        "--decimal",
        ",",
        "--thousands",
        ".",
    )
    options = ("--filter-column", 0, "--filter-value", "a", "--na-values", "-", "--timezone", "Europe/Amsterdam")
    flexmesh("add", "beliefs", "--sensor-id", meter, "--source", "me", file, *layout, *options)
    assert values_of(flexmesh, meter, tmp_path) == [("2026-03-01T00:00:00+01:00", 1000.5)]


def test_a_parquet_file(flexmesh: Command, meter: int, tmp_path: Path) -> None:
    file = tmp_path / "values.parquet"
    start = datetime(2026, 3, 1, tzinfo=UTC)
    pl.DataFrame({"start": [start, start + timedelta(minutes=15)], "power": [1.5, 2.5]}).write_parquet(file)
    flexmesh("add", "beliefs", "--sensor", meter, "--source", "me", file)
    assert [value for _, value in values_of(flexmesh, meter, tmp_path)] == [1.5, 2.5]


def test_hourly_values_fill_the_quarters(flexmesh: Command, meter: int, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "Time,Power\n2026-03-01T00:00:00+01:00,4\n2026-03-01T01:00:00+01:00,8\n")
    flexmesh("add", "beliefs", "--sensor", meter, "--source", "me", file)
    assert [value for _, value in values_of(flexmesh, meter, tmp_path)] == [4.0] * 4 + [8.0] * 4


def test_values_known_ahead_are_not_known_before_that(flexmesh: Command, meter: int, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "Time,Power\n2026-03-01T10:00:00+01:00,4\n")
    flexmesh("add", "beliefs", "--sensor", meter, "--source", "me", "--horizon", 60, file)
    # The event ends at 10:15, so it was known from 09:15 on.
    assert values_of(flexmesh, meter, tmp_path, "--belief-time-before", "2026-03-01T09:14+01:00") == []
    assert len(values_of(flexmesh, meter, tmp_path, "--belief-time-before", "2026-03-01T09:15+01:00")) == 1


def test_other_values_of_the_same_belief_replace_only_when_told_to(
    flexmesh: Command, meter: int, tmp_path: Path
) -> None:
    options = ("--sensor", meter, "--source", "me", "--horizon", 60)
    flexmesh("add", "beliefs", *options, csv_file(tmp_path, "t,v\n2026-03-01T10:00:00+01:00,4\n"))
    other = csv_file(tmp_path, "t,v\n2026-03-01T10:00:00+01:00,5\n2026-03-01T10:15:00+01:00,6\n")
    assert "Nothing was stored. Use --allow-overwrite" in flexmesh("add", "beliefs", *options, other, code=1).stderr
    assert [value for _, value in values_of(flexmesh, meter, tmp_path)] == [4.0]
    flexmesh("add", "beliefs", *options, other, "--allow-overwrite")
    assert [value for _, value in values_of(flexmesh, meter, tmp_path)] == [5.0, 6.0]


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("t,v\nyesterday,4\n", (), "row 2: 'yesterday' is not a time"),
        ("t,v\n2026-03-01T10:00:00,many\n", (), "row 2: 'many' is not a number"),
        ("t,v\n2026-03-01T10:00:00,1\n", ("--valuecol", 7), "There is no column 7: the file has the columns 0 to 1"),
        ("t,v\n2026-03-01T10:00:00,1\n", ("--unit", "EUR"), "EUR"),
        ("t,v\n", (), "There are no rows with a value in it"),
        ("", (), "There are no rows with a value in it"),
        ("t,v\n2026-03-01T10:00:00,1\n", ("--source", 999), "There is no source with id 999"),
    ],
)
def test_a_file_that_cannot_be_read_stores_nothing(
    flexmesh: Command, meter: int, tmp_path: Path, text: str, options: tuple[object, ...], sentence: str
) -> None:
    source = () if "--source" in options else ("--source", "me")
    arguments = ("add", "beliefs", "--sensor", meter, csv_file(tmp_path, text), *source, *options)
    assert sentence in flexmesh(*arguments, code=1).stderr
    assert values_of(flexmesh, meter, tmp_path) == []


def test_values_are_plotted(flexmesh: Command, meter: int, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "Time,Power\n2026-03-01T00:00:00+01:00,40\n2026-03-01T01:00:00+01:00,-20\n")
    flexmesh("add", "beliefs", "--sensor", meter, "--source", "me", file)
    output = flexmesh(
        "show", "beliefs", "--sensor", meter, "--start", "2026-03-01T00:00+01:00", "--duration", "PT2H"
    ).output
    assert "40 kW" in output
    assert "-20 kW" in output
    assert "00:00" in output
    nothing = flexmesh("show", "beliefs", "--sensor", meter, "--start", "2025-03-01T00:00+01:00", "--duration", "PT2H")
    assert "no values" in nothing.output


def test_values_are_deleted_by_time_and_source(flexmesh: Command, meter: int, site: int, tmp_path: Path) -> None:
    file = csv_file(tmp_path, "Time,Power\n2026-03-01T00:00:00+01:00,40\n2026-03-01T01:00:00+01:00,-20\n")
    flexmesh("add", "beliefs", "--sensor", meter, "--source", "me", file)
    window = ("--start", "2026-03-01T01:00+01:00", "--end", "2026-03-02T00:00+01:00")
    assert "Deleted 4 beliefs" in flexmesh("delete", "beliefs", "--sensor", meter, *window, "--force").output
    assert "Deleted 0 beliefs" in flexmesh("delete", "beliefs", "--sensor", meter, "--source", 1, "--force").output
    flexmesh("delete", "beliefs", "--asset", site, answers="n\n", code=1)
    assert len(values_of(flexmesh, meter, tmp_path)) == 4
    flexmesh("delete", "beliefs", "--asset", site, answers="y\n")
    assert values_of(flexmesh, meter, tmp_path) == []


def test_attributes_are_set_by_type(flexmesh: Command, account: int, site: int, meter: int) -> None:
    flexmesh("edit", "attribute", "--attribute", "volume", "--float", 1.5, "--asset", site, "--sensor", meter)
    flexmesh("edit", "attribute", "--attribute", "tags", "--list", '["a"]', "--asset", site)
    flexmesh("edit", "attribute", "--attribute", "vip", "--bool", True, "--account", account)
    flexmesh("edit", "attribute", "--attribute", "gone", "--null", "--asset", site)
    output = flexmesh("show", "asset", "--id", site).output
    assert json.loads(output.split("attributes\t")[1].splitlines()[0]) == {"volume": 1.5, "tags": ["a"], "gone": None}


def test_assets_move_to_another_account_and_parent(flexmesh: Command, account: int) -> None:
    other = added(flexmesh("add", "account", "--name", "Other"))
    top = added(flexmesh("add", "asset", "--name", "top", "--account", account, "--asset-type", 6))
    child = added(
        flexmesh("add", "asset", "--name", "child", "--account", account, "--asset-type", 5, "--parent-asset", top)
    )
    assert (
        "cannot be its parent"
        in flexmesh("edit", "transfer-parenthood", "--asset", top, "--new-parent", child, code=1).stderr
    )
    assert "2 assets" in flexmesh("edit", "transfer-ownership", "--asset", top, "--new-owner", other).output
    assert {row[1] for row in rows(flexmesh("show", "assets", "--account", other))} == {"top", "child"}
    flexmesh("edit", "transfer-parenthood", "--asset", child)
    assert f"parent_asset_id\t{top}" not in flexmesh("show", "asset", "--id", child).output
    flexmesh("edit", "transfer-parenthood", "--asset", child, "--new-parent", top)
    assert f"parent_asset_id\t{top}" in flexmesh("show", "asset", "--id", child).output
    # Below an asset of another account it would be shown, and deleted, across accounts.
    flexmesh("edit", "transfer-ownership", "--asset", child, "--new-owner", account)
    assert f"parent_asset_id\t{top}" not in flexmesh("show", "asset", "--id", child).output


def test_deleting_an_account_takes_everything_along(flexmesh: Command, tmp_path: Path) -> None:
    account = added(flexmesh("add", "account", "--name", "Short lived"))
    login = ("--username", "brief", "--email", "brief@example.org", "--account", account, *PASSWORD)
    flexmesh("add", "user", *login)
    top = added(flexmesh("add", "asset", "--name", "top", "--account", account, "--asset-type", 6))
    below = ("--account", account, "--asset-type", 5, "--parent-asset", top)
    child = added(flexmesh("add", "asset", "--name", "child", *below))
    sensor = added(flexmesh("add", "sensor", "--name", "s", "--unit", "kW", "--event-resolution", 15, "--asset", child))
    flexmesh("add", "beliefs", "--sensor", sensor, "--source", "me", csv_file(tmp_path, "t,v\n2026-03-01T00:00Z,1\n"))
    flexmesh("delete", "account", "--id", account, answers="n\n", code=1)
    flexmesh("delete", "account", "--id", account, "--force")
    for thing, id in (("account", account), ("asset", top), ("asset", child)):
        flexmesh("show", thing, "--id", id, code=1)
    assert "brief" not in flexmesh("show", "users").output
    assert str(sensor) not in [row[0] for row in rows(flexmesh("show", "sensors"))]


def test_users_roles_and_sensors_are_deleted(flexmesh: Command, account: int, meter: int) -> None:
    login = ("--username", "leaver", "--email", "Leaver@example.org", "--account", account, *PASSWORD)
    flexmesh("add", "user", *login)
    flexmesh("delete", "user", "--email", "leaver@example.org", "--force")
    assert "leaver" not in flexmesh("show", "users").output
    flexmesh("add", "account-role", "--name", "Passing")
    flexmesh("delete", "account-role", "--name", "Passing")
    flexmesh("delete", "sensor", "--id", meter, "--force")
    flexmesh("show", "beliefs", "--sensor", meter, "--start", "2026-03-01T00:00Z", "--duration", "PT1H", code=1)


def test_roles_and_types_are_listed(flexmesh: Command) -> None:
    assert {"admin", "account-admin", "consultant"} <= {row[2] for row in rows(flexmesh("show", "roles"))}
    added(flexmesh("add", "asset-type", "--name", "electrolyser"))
    assert {"battery", "electrolyser"} <= {row[1] for row in rows(flexmesh("show", "asset-types"))}
    source = added_source(flexmesh("add", "source", "--name", "oracle", "--type", "forecaster", "--version", "2"))
    assert rows(flexmesh("show", "data-sources", "--id", source))[0][1:5] == ["oracle", "forecaster", "", "2"]


def added_source(result: Result) -> int:
    return int(result.output.split("ID ")[1].rstrip(".\n"))


def test_the_doctor_finds_nothing_wrong(flexmesh: Command) -> None:
    output = flexmesh("doctor").output
    assert "PostgreSQL" in output
    assert "--" not in output


def test_the_doctor_names_a_wrong_setting(flexmesh: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXMESH_BROKER_URL", "redis://nowhere")
    assert "FLEXMESH_BROKER_URL" in flexmesh("doctor", code=1).output


def test_the_doctor_names_a_database_that_is_away(flexmesh: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXMESH_DATABASE_URL", "postgresql://me@127.0.0.1:9/nothing")
    output = flexmesh("doctor", code=1).output
    assert "--  database: " in output
    assert "Is FLEXMESH_DATABASE_URL right, and the database running?" in output


def test_a_database_that_is_away_is_one_sentence(flexmesh: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXMESH_DATABASE_URL", "postgresql://me@127.0.0.1:9/nothing")
    result = flexmesh("show", "accounts", code=1)
    assert "database" in result.stderr
    assert "Traceback" not in result.output
