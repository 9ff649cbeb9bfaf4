"""Event streams: activities of the listener, once, in order, from the last id on, as long as permission lasts."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from api_gateway.events import activity_descriptions, response, stream
from api_gateway.events.feed import ActivityFeed
from flexcore.credentials.repository import revoke
from flexcore.webhooks.inputs import TEST
from flexwork import activities, activity_log, jobs
from flexwork.activities import ActivityType
from gateway_house import AddSite, House, OpenHouse, Person, World, claim_job
from starlette.types import Message
from waiting import until

type Listen = Callable[..., AbstractAsyncContextManager[Listener]]
type Tell = Callable[..., Awaitable[None]]

PATH = "/api/v1/events"
NO_DATA = {"type": ["job.queued", "job.failed", "schedule.finished", "asset.updated"]}
"""Filter without stored data. Its streams start at once: they need not wait until the writers know of them."""


@dataclass
class Told:
    """Event of a stream, as it was sent."""

    id: int
    type: str
    body: dict[str, Any]

    @property
    def number(self) -> int | None:
        number: int | None = self.body["data"].get("number")
        return number


@dataclass
class Listener:
    """A client with a stream open. It takes what is sent only while it is not `stuck`."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    text: str = ""
    ended: bool = False
    stuck: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        if self.task is None:
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: not self.stuck)
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
            else:
                self.text += message.get("body", b"").decode()
                self.ended = not message.get("more_body", False)
                *whole, _ = self.text.replace("\n:\n", "\n").split("\n\n")
                self.told = [read(one) for one in whole]
            self.changed.notify_all()

    async def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(condition)

    async def hears(self, *types: str) -> list[Told]:
        """Return all events received, once the last ones are of these types."""
        await self.until(lambda: tuple(one.type for one in self.told[-len(types) :]) == types)
        return self.told

    async def free(self) -> None:
        async with self.changed:
            self.stuck = False
            self.changed.notify_all()

    @property
    def numbers(self) -> list[int]:
        return [one.number for one in self.told if one.number is not None]


def read(text: str) -> Told:
    lines = [line.partition(": ")[::2] for line in text.strip().split("\n") if not line.startswith(":")]
    fields = dict(lines)
    return Told(int(fields["id"]), fields["event"], json.loads(fields["data"]))


def has_numbers(listener: Listener, numbers: list[int]) -> bool:
    return listener.numbers == numbers


def ends_with(listener: Listener, number: int) -> bool:
    return listener.numbers[-1:] == [number]


@pytest.fixture
async def feed(house: House) -> AsyncIterator[ActivityFeed]:
    """The running feed of the gateway."""
    feed: ActivityFeed = house.app.state.gateway.feed
    running = asyncio.create_task(feed.run())
    yield feed
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
def listen(house: House) -> Listen:
    """Open a stream: `async with listen(person, …) as listener`. The default filters leave out stored data."""

    @asynccontextmanager
    async def listening(person: Person | None, last_id: object = None, **query: object) -> AsyncIterator[Listener]:
        token = person.client.headers["Authorization"] if person else ""
        headers = [(b"authorization", token.encode())]
        headers += [] if last_id is None else [(b"last-event-id", str(last_id).encode())]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": PATH,
            "raw_path": PATH.encode(), "root_path": "", "scheme": "http", "server": ("gateway", 80), "headers": headers,
            "client": ("127.0.0.1", 1), "query_string": urlencode(query or NO_DATA, doseq=True).encode(),
        }  # fmt: skip
        listener = Listener()
        task = asyncio.create_task(house.app(scope, listener.receive, listener.send))
        listener.task = task
        try:
            await listener.until(lambda: listener.status)
            yield listener
        finally:
            listener.gone.set()
            await listener.free()
            await asyncio.wait_for(task, 10)

    return listening


@pytest.fixture
def tell(house: House) -> Tell:
    """Record the update of an asset, with the number in its data."""

    async def tell(account: int | None, *numbers: int, **data: object) -> None:
        async with house.store.transaction() as con:
            for number in numbers:
                await activities.record(con, account, ActivityType.ASSET_UPDATED, {"number": number, **data})

    return tell


async def test_a_job_is_followed_to_its_end(house: House, toy: Person, feed: ActivityFeed, listen: Listen) -> None:
    async with listen(toy, type=["job.queued", "job.started", "job.finished"]) as listener:
        assert (listener.status, listener.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert listener.headers["cache-control"] == "private, no-store"
        await listener.hears("stream.open")
        async with house.store.connection() as con:
            job_id = await jobs.create(con, queue="schedule", request={}, account_id=toy.account_id)
            claim = await claim_job(con, job_id)
            await jobs.finish(con, job_id, claim, {})
        told = await listener.hears("stream.open", "job.queued", "job.started", "job.finished")
    assert [one.id for one in told] == sorted({one.id for one in told})
    for one in told[1:]:
        assert one.body.keys() == {"type", "timestamp", "data"} and one.body["type"] == one.type
        assert one.body["data"] == {"job": str(job_id), "queue": "schedule", "asset": None, "sensor": None}
    assert listener.text.startswith("retry: 3000\n")


async def test_everybody_is_told_what_they_may_read(
    house: House, world: World, feed: ActivityFeed, listen: Listen, tell: Tell
) -> None:
    numbers = dict(zip(("own", "client", "foreign", "public"), range(1, 5), strict=True))
    may = {"A": [1, 2, 3, 4], "R": [1, 2, 3, 4], "M": [1, 4], "P": [1, 4], "V": [1, 4], "C": [1, 2, 4]}
    for letter, expected in may.items():
        async with listen(world.people[letter]) as listener:
            await listener.hears("stream.open")
            for place, number in numbers.items():
                await tell(world.accounts[place], number)
            await listener.until(lambda: listener.numbers[-1:] == [4])
        assert listener.numbers == expected, letter
        async with listen(world.people[letter], listener.told[0].id) as again:
            await again.until(lambda: again.numbers[-1:] == [4])
        assert again.numbers == expected, letter


async def test_filters_leave_out_the_rest(
    toy: Person, add_site: AddSite, feed: ActivityFeed, listen: Listen, tell: Tell
) -> None:
    site, _, battery, power = await add_site()
    for query, expected in (
        ({"type": "asset.updated", "asset": site}, [1, 2, 4]),
        ({"type": "asset.updated", "asset": battery}, [2, 4]),
        ({"type": "asset.updated", "sensor": power}, [4]),
        ({"type": ["job.failed", "asset.updated"], "job": "5f7f3b1e-7c1c-4b7e-9e7b-0d3f6a1c2b4d"}, [3]),
        ({"type": "job.failed"}, []),
    ):
        async with listen(toy, **query) as listener, listen(toy) as all:
            await listener.hears("stream.open")
            await all.hears("stream.open")
            await tell(toy.account_id, 1, asset=site)
            await tell(toy.account_id, 2, asset=battery)
            await tell(toy.account_id, 3, job="5f7f3b1e-7c1c-4b7e-9e7b-0d3f6a1c2b4d")
            await tell(toy.account_id, 4, sensor=power)
            await all.until(lambda: all.numbers == [1, 2, 3, 4])
            await listener.until(partial(has_numbers, listener, expected))


async def test_who_comes_back_is_told_exactly_the_rest(
    toy: Person, feed: ActivityFeed, listen: Listen, tell: Tell
) -> None:
    async with listen(toy) as listener:
        await listener.hears("stream.open")
        await tell(toy.account_id, *range(5))
        await listener.until(lambda: listener.numbers == [0, 1, 2, 3, 4])
    third = listener.told[3].id
    await tell(toy.account_id, *range(5, 400))
    resumptions: list[tuple[int, int | None, dict[str, int]]] = [
        (400, third, {}),
        (401, None, {"last-event-id": third}),
    ]
    for new, last_id, query in resumptions:
        async with listen(toy, last_id, **NO_DATA, **query) as again:
            await again.until(partial(ends_with, again, new - 1))
            await tell(toy.account_id, new)
            await again.until(partial(ends_with, again, new))
        assert again.numbers == [*range(3, new + 1)]
        assert {one.type for one in again.told} == {"asset.updated"}


@pytest.mark.parametrize("wrong", ["x", "-1", "1.5", "٣", str(2**63)])
async def test_ids_that_are_none_are_refused(toy: Person, wrong: str) -> None:
    answered = await toy.client.get(PATH, params={"last-event-id": wrong})
    assert answered.status_code == 422
    assert answered.json()["fields"].keys() == {"last-event-id"}


async def test_who_has_missed_something_for_good_is_told_so(
    house: House, toy: Person, feed: ActivityFeed, listen: Listen, tell: Tell
) -> None:
    await tell(toy.account_id, 1, 2, 3)
    async with house.store.connection() as con:
        await activity_log.assign_positions(con)
        last = await activity_log.newest_position(con)
        await con.execute("update event set created_at = now() - interval '2 days'")
        await activity_log.delete_old(con, timedelta(days=1), 100)
    for last_id, reason in ((last - 2, stream.TOO_OLD), (last + 1000, stream.UNKNOWN)):
        async with listen(toy, last_id) as listener:
            [told] = await listener.hears("stream.reset")
            assert told.body["data"] == {"reason": reason}
            assert told.id >= last
            await tell(toy.account_id, 4)
            await listener.until(lambda: listener.numbers == [4])
    async with listen(toy, last - 1) as listener:
        await listener.until(lambda: listener.numbers == [3, 4, 4])


async def test_stored_data_are_told_without_a_gap_or_that_is_said(
    house: House, toy: Person, feed: ActivityFeed, listen: Listen, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_log, "SETTLES_WITHIN", timedelta(seconds=0.3))

    async def awaited() -> bool:
        async with house.store.connection() as con:
            return await activities.has_audience(con, toy.account_id, ActivityType.DATA_STORED)

    async with listen(toy, type="asset.updated") as listener:
        await listener.hears("stream.open")
        assert not await awaited()
    begun = asyncio.get_running_loop().time()
    async with listen(toy, type="data.stored") as listener:
        await listener.hears("stream.open")
        assert await awaited()
        assert asyncio.get_running_loop().time() - begun > 0.3
        await house.fetch("update event_interest set until = now() - interval '1 second'")
        await feed.check()  # too late: the listener was not announced for a second
        told = await listener.hears("stream.open", "stream.reset")
        assert told[1].body["data"] == {"reason": stream.NOT_RECORDED}
        assert await awaited()
    assert await awaited()
    async with listen(toy, told[1].id, type="data.stored") as listener:
        await listener.until(lambda: listener.text)
        assert not listener.told
    async with listen(toy, told[0].id, type="data.stored") as listener:
        await listener.hears("stream.reset")


async def test_who_may_no_longer_read_is_told_no_more(
    house: House, world: World, feed: ActivityFeed, listen: Listen, tell: Tell
) -> None:
    member, consultant = world.people["M"], world.people["C"]
    async with listen(member) as gone, listen(consultant) as less:
        await gone.hears("stream.open")
        await less.hears("stream.open")
        async with house.store.connection() as con:
            await revoke(con, member.user_id, ("login",))
            await con.execute("delete from user_role where user_id = $1", consultant.user_id)
        await gone.until(lambda: gone.ended)
        await feed.check()  # the rest should not wait for the notice about the role
        await tell(world.accounts["client"], 1)
        await tell(world.accounts["own"], 2)
        await less.until(lambda: less.numbers == [2])
        assert gone.numbers == []
    assert (await member.client.get(PATH)).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        "update token set revoked_at = now()",
        "update users set active = false",
        "delete from users",
        "delete from user_role",
        "update account set consultancy_account_id = null where consultancy_account_id is not null",
    ],
)
async def test_what_is_taken_away_is_known_at_once(
    house: House, world: World, feed: ActivityFeed, listen: Listen, change: str
) -> None:
    async with listen(world.people["C"]) as consultant:
        await consultant.hears("stream.open")
        [one] = feed._streams
        await house.fetch(change)
        await until(lambda: one.ended.is_set() or one.wanted.accounts == {world.accounts["own"]}, 10.0)


async def test_who_comes_while_others_are_checked_stays(house: House, toy: Person) -> None:
    feed = house.app.state.gateway.feed
    late = stream.EventStream(toy.account_id, 2, activity_log.ActivityFilter(frozenset({toy.account_id})))

    async def reach(tokens: object) -> dict[int, frozenset[int] | None]:
        feed._add(late)
        return {}

    feed.reach = reach
    early = stream.EventStream(toy.account_id, 1, activity_log.ActivityFilter(frozenset({toy.account_id})))
    feed._add(early)
    await feed.check()
    assert (early.ended.is_set(), late.ended.is_set()) == (True, False)


async def test_a_slow_client_gets_everything_when_it_takes_it(
    toy: Person, feed: ActivityFeed, listen: Listen, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "MAX_WAITING", 10)
    async with listen(toy) as slow, listen(toy) as quick:
        await slow.hears("stream.open")
        await quick.hears("stream.open")
        slow.stuck = True
        for start in range(0, 100, 5):
            await tell(toy.account_id, *range(start, start + 5))
        await quick.until(lambda: quick.numbers == [*range(100)])
        assert slow.numbers == []
        assert all(len(one._waiting) <= 10 for one in feed._streams)
        await slow.free()
        await slow.until(lambda: slow.numbers[-1:] == [99])
        await tell(toy.account_id, 100)
        await slow.until(lambda: slow.numbers[-1:] == [100])
    assert slow.numbers == [*range(101)]


async def test_who_takes_nothing_for_long_is_let_go(
    toy: Person, feed: ActivityFeed, listen: Listen, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response, "SEND_TIMEOUT_SECONDS", 0.1)
    async with listen(toy) as stuck:
        await stuck.hears("stream.open")
        stuck.stuck = True
        await tell(toy.account_id, 1)
        async with asyncio.timeout(5):
            while len(feed):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)


async def test_nothing_is_left_of_who_leaves(toy: Person, feed: ActivityFeed, listen: Listen) -> None:
    before = len(asyncio.all_tasks())
    async with listen(toy) as listener:
        await listener.hears("stream.open")
        assert len(feed) == 1
    assert len(feed) == 0 and not feed._by_account
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= before


async def test_when_the_server_stops_streams_end(toy: Person, feed: ActivityFeed, listen: Listen) -> None:
    async with listen(toy) as listener:
        await listener.hears("stream.open")
        feed.close()
        await listener.until(lambda: listener.ended, seconds=1)
        refused = await toy.client.get(PATH)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")


async def test_idle_streams_show_signs_of_life_and_keep_ids_fresh(
    house: House, toy: Person, feed: ActivityFeed, listen: Listen, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE_SECONDS", 0.05)
    async with listen(toy) as other, listen(toy, type="job.failed") as idle:
        await idle.hears("stream.open")
        await idle.until(lambda: idle.text.count("\n:\n") > 3)
        await tell(toy.account_id, 1)
        await other.until(lambda: other.numbers == [1])
        monkeypatch.setattr(stream, "BOOKMARK_SECONDS", 0.0)
        told = await idle.hears("stream.open", "stream.bookmark")
    assert told[1].id == other.told[-1].id > told[0].id


async def test_an_account_may_have_so_many_streams(open_house: OpenHouse) -> None:
    async with open_house(event_streams_per_account=1) as house:
        person = await house.person("a", await house.account("A"))
        feed = house.app.state.gateway.feed
        async with feed.joined(stream.EventStream(person.account_id, 1, activity_log.ActivityFilter(None))):
            refused = await person.client.get(PATH)
        one = stream.EventStream(person.account_id, 1, activity_log.ActivityFilter(None))
        feed.expect(one)  # the limit holds for simultaneous requests, too
        assert (await person.client.get(PATH)).status_code == 429
        async with feed.joined(one):
            assert feed.streams_of(person.account_id) == 1
        assert feed.streams_of(person.account_id) == 0
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "15")
        assert "1 event streams" in refused.json()["detail"]


async def test_a_thousand_idle_listeners_cost_little(open_house: OpenHouse) -> None:
    async with open_house(event_streams_per_account=0) as house, AsyncExitStack() as stack:
        account = await house.account("A")
        feed = house.app.state.gateway.feed
        streams = [
            stream.EventStream(account, 1, activity_log.ActivityFilter(frozenset({account, i}))) for i in range(1000)
        ]
        asked = 0

        async def reach(tokens: object) -> dict[int, frozenset[int] | None]:
            nonlocal asked
            asked += 1
            return {1: frozenset({account})}

        feed.reach = reach
        for one in streams:
            await stack.enter_async_context(feed.joined(one))
        async with house.store.transaction() as con:
            await activities.record(con, account, ActivityType.JOB_QUEUED, {})
            await activities.record(con, 500, ActivityType.JOB_QUEUED, {})
        assert await feed._look()
        assert sorted(len(one._waiting) for one in streams) == [1] * 999 + [2]
        await feed.check()
        assert asked == 1
        assert {one.wanted.accounts for one in streams} == {frozenset({account})}


def test_every_type_has_its_meaning() -> None:
    assert activity_descriptions.DESCRIPTIONS.keys() == {*ActivityType, TEST}
