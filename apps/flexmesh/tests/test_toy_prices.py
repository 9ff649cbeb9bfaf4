"""The toy prices on ordinary days and on those when the clock changes."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flexmesh import database, schema, toy_account
from flexstore import series
from flexstore.store import Connection


@pytest.mark.parametrize(
    ("day", "count"), [(date(2026, 11, 22), 24), (date(2026, 3, 29), 23), (date(2026, 10, 25), 25)]
)
def test_every_hour_has_the_price_of_its_place_on_the_clock(data_directory: Path, day: date, count: int) -> None:
    async def load(con: Connection) -> tuple[list[bool], series.Series]:
        made = await toy_account.ensure_toy_account(con)
        loaded = [await toy_account.ensure_prices(con, made.price_sensor_id, day) for _ in range(2)]
        start = toy_account.midnight(day)
        end = toy_account.midnight(day + timedelta(days=1))
        query = series.SeriesQuery(made.price_sensor_id, start.astimezone(UTC), end.astimezone(UTC), timedelta(hours=1))
        return loaded, (await series.load_series(con, [query]))[0]

    loaded, found = database.run_in_transaction(load)
    assert loaded == [True, False]
    assert len(found) == count
    hours = [datetime.fromisoformat(f"{start}+00:00").astimezone(toy_account.ZONE).hour for start in found.event_start]
    assert found.values.tolist() == [toy_account.PRICES[hour] for hour in hours]


def test_tomorrow_is_that_of_the_toy_battery() -> None:
    late_in_amsterdam = datetime(2026, 6, 1, 22, 30, tzinfo=UTC)
    assert toy_account.tomorrow(late_in_amsterdam) == date(2026, 6, 3)


def test_the_newest_revision_is_that_of_the_migrations() -> None:
    from flexstore import migrate

    assert schema.newest_revision() == migrate.head_revision()
