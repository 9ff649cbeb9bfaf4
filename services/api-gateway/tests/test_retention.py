"""Retention: values expire by the attributes of accounts and sensors."""

from datetime import UTC, datetime, timedelta

import numpy as np
from flexstore import daily_rollups, retention, sources
from flexstore.series import BeliefBatch, to_datetime64, write_beliefs
from gateway_house import AddSite, House, Person

HOUR = np.timedelta64(3_600_000_000, "us")
FIRST = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=50)


async def fill(house: House, *sensors: int) -> None:
    async with house.store.transaction() as con:
        source = await sources.ensure(con, "meter", "user")
        for sensor in sensors:
            await write_beliefs(
                con,
                BeliefBatch(
                    sensor, to_datetime64(FIRST) + np.arange(1200) * HOUR, to_datetime64(FIRST), np.ones(1200), source
                ),
            )


async def apply(house: House, default: timedelta | None = None) -> None:
    await retention.delete_expired(house.store, default)
    await daily_rollups.refresh(house.store)


async def count(toy: Person, sensor: int) -> int:
    stats = await toy.get(f"/sensors/{sensor}/stats")
    return sum(figures["Number of values"] for name, figures in stats.items() if name != "status")


async def test_what_is_said_through_the_api_is_done(house: House, toy: Person, add_site: AddSite) -> None:
    _building, price, _battery, power = await add_site()
    await fill(house, price, power)
    await toy.patch(f"/sensors/{power}", {"attributes": {"retention": "P10D"}})
    await house.fetch("""update account set attributes = '{"retention": "P20D"}'""")
    await apply(house)
    assert await count(toy, price) == 20 * 24 + 1
    assert 10 * 24 <= await count(toy, power) <= 10 * 24 + 4
    [noted] = await house.fetch("select account_id, details from audit_log where event like 'Deleted % values of 2 %'")
    assert noted["account_id"] is not None
    assert set(noted["details"]["sensors"]) == {str(price), str(power)}


async def test_the_platform_may_say_it_for_all(house: House, toy: Person, add_site: AddSite) -> None:
    _building, price, _battery, _power = await add_site()
    await fill(house, price)
    await apply(house, timedelta(days=30))
    assert await count(toy, price) == 30 * 24 + 1
    await apply(house)
    assert await count(toy, price) == 30 * 24 + 1


async def test_what_is_no_length_of_time_is_refused(toy: Person, add_site: AddSite) -> None:
    _building, price, *_ = await add_site()
    for said, told in (("soon", "'soon' is no length of time."), ("PT1H", "PT1H is shorter than a day")):
        refused = await toy.patch(f"/sensors/{price}", {"attributes": {"retention": said}}, 422)
        assert refused["message"]["json"]["attributes"][0].startswith(told)
    for valid in ("forever", "P3Y", None):
        await toy.patch(f"/sensors/{price}", {"attributes": {"retention": valid}})
