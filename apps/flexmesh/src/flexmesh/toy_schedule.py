"""The schedule of the toy battery that `flexmesh up --toy` shows, requested through the public API."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from flexmodel.errors import FlexmeshError
from flexstore.store import Store

from flexmesh import plot, toy_account
from flexmesh.progress import Steps

STATE_OF_CHARGE = "225 kWh"
POLL_SECONDS = 0.02
PATIENCE_SECONDS = 60
SETTLED = (200, 400, 409, 422)


async def show_schedule(store: Store, url: str, steps: Steps) -> None:
    """Create the toy account with tomorrow's prices, request a schedule for its battery, and plot it."""
    day = toy_account.tomorrow(datetime.now(UTC))
    with steps.step("Toy account", f"{toy_account.EMAIL}, prices for {day:%a %d %b %Y}"):
        async with store.transaction() as con:
            made = await toy_account.ensure_toy_account(con)
            await toy_account.ensure_prices(con, made.price_sensor_id, day)
    start = toy_account.midnight(day) + toy_account.START
    with steps.step("Schedule", "toy-battery, 12 hours in steps of 15 minutes"):
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS) as client:
            schedule = await request_schedule(client, made, start)
    steps.say()
    for line in draw_schedule(schedule, start):
        steps.say(line)


async def request_schedule(client: httpx.AsyncClient, made: toy_account.Toy, start: datetime) -> Mapping[str, Any]:
    """Log in, trigger a schedule, wait for its job, and return the schedule."""
    login = await send_request(
        client, "POST", "/api/requestAuthToken", json={"email": toy_account.EMAIL, "password": toy_account.PASSWORD}
    )
    client.headers["Authorization"] = login["auth_token"]
    trigger = {
        "start": start.isoformat(),
        "duration": "PT12H",
        "flex-model": [{"sensor": made.battery_sensor_id, "soc-at-start": STATE_OF_CHARGE}],
    }
    accepted = await send_request(
        client, "POST", f"/api/v3_0/assets/{made.battery_asset_id}/schedules/trigger", json=trigger
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (job := await send_request(client, "GET", f"/api/v3_0/jobs/{accepted['job']}"))["status"] != "FINISHED":
            if job["status"] in ("FAILED", "STOPPED", "CANCELED"):
                raise FlexmeshError(f"The toy schedule failed: {job['message']}")
            await asyncio.sleep(POLL_SECONDS)
    path = f"/api/v3_0/sensors/{made.battery_sensor_id}/schedules/{accepted['schedule']}"
    return await send_request(client, "GET", path, params={"duration": "PT12H"})


async def send_request(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    json: Mapping[str, Any] | None = None,
    params: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    answer = await client.request(method, path, json=json, params=params)
    if answer.is_error:
        raise FlexmeshError(f"{method} {path} was answered with {answer.status_code}: {answer.text[:300]}")
    content: dict[str, Any] = answer.json()
    return content


def draw_schedule(schedule: Mapping[str, Any], start: datetime) -> list[str]:
    """Return the lines of a plot: the costs, the prices, and the schedule as bars."""
    values = schedule["values"]
    width = len(plot.columns_for(values))
    quarters = [start + n * timedelta(minutes=15) for n in range(len(values))]
    prices = [toy_account.PRICES[quarter.hour] for quarter in quarters]
    cost = schedule["scheduler_info"]["commitment_costs"]["electricity net energy"]
    earned = f"{'earns' if cost < 0 else 'costs'} {abs(cost):.2f} EUR"
    return [
        f"  Toy battery on {start:%A %d %B}, charging upwards: [bold]{earned}[/bold] (net energy cost {cost:.6f} EUR)",
        "",
        f"  [yellow]{plot.strip(prices, width)}[/yellow] {min(prices):g} to {max(prices):g} EUR/MWh",
        *(f"  [cyan]{row[:width]}[/cyan]{row[width:]}" for row in plot.bars(values, schedule["unit"])),
        f"  {plot.time_axis(start, toy_account.DURATION, width)}",
    ]
