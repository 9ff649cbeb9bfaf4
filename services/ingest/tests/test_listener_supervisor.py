"""Connectors that listen: one process each, restarted after failures and edits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import asyncpg
import numpy as np
import pytest
from flexmodel.time import steps
from ingest.belief_writer import BeliefWriter
from ingest.connectors import listener_supervisor, registry, repository
from ingest.connectors import service as connectors
from ingest.connectors.connector_kind import ConnectorSettings, ListenerContext, ListeningKind, OfferedSeries
from ingest.connectors.fetched_series import FetchedSeries, FetchError, SeriesSource, TemporaryFetchError
from ingest.connectors.listener_supervisor import ListenerSupervisor
from ingest.connectors.service import ConnectorChanges
from ingest_service import Service
from waiting import until

START = datetime(2026, 2, 3, tzinfo=UTC)


class WhisperSettings(ConnectorSettings):
    says: float


class Whisper(ListeningKind[WhisperSettings]):
    """Receives one value at its start; fails if the value is negative."""

    name: ClassVar[str] = "whisper"
    about: ClassVar[str] = "Whispers."
    settings = WhisperSettings

    def __init__(self) -> None:
        self.began = 0
        self.now = 0

    def series(self, settings: WhisperSettings) -> Sequence[OfferedSeries]:
        return [OfferedSeries("word", "A word.", "kW")]

    def source(self, settings: WhisperSettings, connector: str, number: int) -> SeriesSource:
        return SeriesSource("Whisper", "gateway")

    async def listen(self, settings: WhisperSettings, context: ListenerContext) -> None:
        self.began += 1
        self.now += 1
        try:
            starts = steps(START + self.began * timedelta(hours=1), timedelta(hours=1), 1)
            await context.deliver([FetchedSeries("word", starts, np.array([settings.says]), "kW", datetime.now(UTC))])
            if settings.says < 0:
                raise FetchError("It fell silent.")
            await asyncio.Event().wait()
        finally:
            self.now -= 1


@pytest.fixture
def whisper(monkeypatch: pytest.MonkeyPatch) -> Whisper:
    kind = Whisper()
    monkeypatch.setattr(listener_supervisor, "SYNCHRONIZE_SECONDS", 0.05)
    monkeypatch.setattr(listener_supervisor, "LISTENING_KINDS", [kind.name])
    monkeypatch.setattr(registry, "KINDS", {kind.name: kind})
    return kind


@pytest.fixture
async def number(service: Service, whisper: Whisper) -> int:
    sensor = await service.add_sensor("kW", 60)
    async with service.store.transaction() as con:
        return await connectors.add(
            con, "whisper", "w", ConnectorChanges(settings={"says": 5}, sensors={"word": sensor})
        )


@pytest.fixture
async def supervisors(service: Service) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Tasks of two supervisors, which stand for two processes."""
    tasks = [
        asyncio.create_task(ListenerSupervisor(service.store, BeliefWriter(), private_addresses=True).run())
        for _ in range(2)
    ]
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def row(service: Service, number: int) -> asyncpg.Record:
    async with service.store.connection() as con:
        [row] = await con.fetch("select * from connector where id = $1", number)
    return row


async def test_one_process_listens_and_what_it_hears_is_stored(
    service: Service, whisper: Whisper, number: int, supervisors: list["asyncio.Task[None]"]
) -> None:
    async def heard() -> bool:
        return (await row(service, number))["last_success_at"] is not None

    await until(heard)
    await asyncio.sleep(0.3)
    assert (whisper.began, whisper.now) == (1, 1)
    found = await row(service, number)
    assert (found["data_until"], found["failures"]) == (START + timedelta(hours=2), 0)
    assert found["claimed_until"] > datetime.now(UTC)


async def test_when_that_process_ends_another_goes_on(
    service: Service, whisper: Whisper, number: int, supervisors: list["asyncio.Task[None]"]
) -> None:
    async def listening_again() -> bool:
        return whisper.began == 2 and whisper.now == 1

    async def listens() -> bool:
        return whisper.now == 1

    await until(listens)
    supervisors[0].cancel()
    await asyncio.gather(supervisors[0], return_exceptions=True)
    if whisper.began == 1 and whisper.now == 1:  # it was the other one
        supervisors[1].cancel()
        await asyncio.gather(supervisors[1], return_exceptions=True)
        supervisors.append(
            asyncio.create_task(ListenerSupervisor(service.store, BeliefWriter(), private_addresses=True).run())
        )
    await until(listening_again)


async def test_it_begins_anew_when_it_is_edited_and_ends_when_it_is_paused_or_deleted(
    service: Service, whisper: Whisper, number: int, supervisors: list["asyncio.Task[None]"]
) -> None:
    async def began(times: int, now: int) -> None:
        async def look() -> bool:
            return (whisper.began, whisper.now) == (times, now)

        await until(look)

    await began(1, 1)
    async with service.store.transaction() as con:
        await connectors.edit(con, number, ConnectorChanges(settings={"says": 6}))
    await began(2, 1)
    async with service.store.transaction() as con:
        await connectors.set_enabled(con, number, on=False)
    await began(2, 0)
    async with service.store.transaction() as con:
        await connectors.set_enabled(con, number, on=True)
    await began(3, 1)
    async with service.store.transaction() as con:
        await connectors.delete(con, number)
    await began(3, 0)


async def test_it_is_tried_again_later_when_it_breaks_off(
    service: Service, whisper: Whisper, number: int, supervisors: list["asyncio.Task[None]"]
) -> None:
    async def failed() -> bool:
        error: str | None = (await row(service, number))["last_error"]
        return error == "It fell silent."

    async with service.store.transaction() as con:
        await connectors.edit(con, number, ConnectorChanges(settings={"says": -1}))
    await until(failed)
    found = await row(service, number)
    assert found["claim"] is None
    assert timedelta(seconds=50) < found["next_run_at"] - datetime.now(UTC) < timedelta(seconds=70)
    began = whisper.began
    async with service.store.connection() as con:
        await con.execute("update connector set next_run_at = now() where id = $1", number)

    async def tried() -> bool:
        return whisper.began > began

    await until(tried)


@pytest.mark.parametrize(
    ("error", "minutes"), [(TemporaryFetchError("It is away."), 1), (FetchError("It does not want us."), 5)]
)
async def test_who_is_only_away_is_looked_for_every_minute(
    service: Service, number: int, error: FetchError, minutes: float
) -> None:
    async with service.store.connection() as con:
        await con.execute("update connector set failures = 9, every = '5 minutes' where id = $1", number)
        connector = await repository.load(con, number)
    assert connector is not None
    rest = listener_supervisor.restart_delay(connector, error)
    assert timedelta(minutes=minutes) <= rest <= timedelta(minutes=1.1 * minutes)
