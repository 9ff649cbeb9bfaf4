"""The relay delivers what was committed, at least once, however often delivery fails at first."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flexstore.store import Store
from flexwork.outbox import Message, put
from flexwork.relay import Relay
from waiting import until


@asynccontextmanager
async def relaying(*relays: Relay) -> AsyncIterator[None]:
    running = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        yield
    finally:
        for task in running:
            assert not task.done()
            task.cancel()
        await asyncio.wait(running)


class Receiver:
    """A receiver that refuses the first `refusals` messages."""

    def __init__(self, refusals: int = 0) -> None:
        self.got: list[Message] = []
        self.refusals = refusals

    async def deliver(self, message: Message) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionRefusedError("nobody home")
        self.got.append(message)

    @property
    def numbers(self) -> list[Any]:
        return [message.payload["n"] for message in self.got]


async def add(
    store: Store,
    *numbers: int,
    topic: str = "task:schedule",
    due_at: datetime | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    async with store.transaction() as con:
        for number in numbers:
            await put(con, topic, {"n": number}, due_at, headers)


async def left(store: Store) -> int:
    async with store.connection() as con:
        number: int = await con.fetchval("select count(*) from outbox")
    return number


async def test_messages_arrive_whole_and_leave_the_outbox(store: Store) -> None:
    receiver = Receiver()
    await add(store, 1, headers={"traceparent": "t"})
    async with relaying(Relay(store, receiver.deliver, topics=["task:%"])):
        await until(lambda: len(receiver.got) == 1)
        await until(lambda: is_empty(store))
    [message] = receiver.got
    assert (message.topic, message.queue, message.payload) == ("task:schedule", "schedule", {"n": 1})
    assert (message.headers, message.attempts) == ({"traceparent": "t"}, 0)
    assert datetime.now(UTC) - message.created_at < timedelta(minutes=1)


async def is_empty(store: Store) -> bool:
    return await left(store) == 0


async def test_messages_of_other_processes_are_relayed_at_once(store: Store, url: str) -> None:
    """A minute between polls leaves only the notification to be that quick."""
    receiver = Receiver()
    async with relaying(Relay(store, receiver.deliver, topics=["task:%"], poll=60)):
        await add(store, 1)
        await until(lambda: receiver.numbers == [1])
        other = await Store.connect(url)
        await add(other, 2)
        await until(lambda: receiver.numbers == [1, 2])
        await other.close()


@pytest.fixture
def deaf(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hear_nothing(*_: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(store, "listen", hear_nothing)


@pytest.mark.usefixtures("deaf")
async def test_without_notifications_it_polls_or_is_woken(store: Store) -> None:
    receiver = Receiver()
    relay = Relay(store, receiver.deliver, topics=["task:%"], poll=60)
    await add(store, 1)
    async with relaying(relay):
        await until(lambda: is_empty(store))
        await add(store, 2)
        await asyncio.sleep(0.2)
        assert receiver.numbers == [1]
        relay.wake()
        await until(lambda: is_empty(store))  # else the next relay, rightly, delivers the second one again
        assert receiver.numbers == [1, 2]
    async with relaying(Relay(store, receiver.deliver, topics=["task:%"], poll=0.05)):
        await add(store, 3)
        await until(lambda: receiver.numbers == [1, 2, 3])


async def test_it_works_on_when_it_cannot_listen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_down(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(store, "listen", break_down)
    receiver = Receiver()
    async with relaying(Relay(store, receiver.deliver, topics=["task:%"], poll=0.05)):
        for number in range(3):
            await add(store, number)
            await until(lambda: is_empty(store))
    assert receiver.numbers == [0, 1, 2]


async def test_what_fails_is_kept_put_off_and_tried_again(store: Store) -> None:
    receiver = Receiver(refusals=2)
    await add(store, 1)
    async with relaying(Relay(store, receiver.deliver, topics=["task:%"], poll=0.05, longest_wait=0.3)):
        await until(lambda: has_failed(store, "ConnectionRefusedError: nobody home"))
        await until(lambda: receiver.numbers == [1])
        await until(lambda: is_empty(store))
    assert receiver.got[0].attempts == 2


async def test_the_waits_between_attempts_grow(store: Store) -> None:
    receiver = Receiver(refusals=8)
    await add(store, 1)
    waits: list[float] = []

    async def next_wait() -> bool:
        """Note the wait of a message that has been put off once more, and make it due."""
        async with store.transaction() as con:
            put_off = await con.fetchval(
                "select extract(epoch from due_at - now())::float from outbox where attempts > $1 for update",
                len(waits),
            )
            if put_off is not None:
                waits.append(put_off)
                await con.execute("update outbox set due_at = now()")
        return len(waits) == 8

    async with relaying(Relay(store, receiver.deliver, topics=["task:%"], poll=0.01)):
        await until(next_wait)
        await until(lambda: receiver.numbers == [1])
    for waited, expected in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60], strict=True):
        assert expected - 3 < waited <= expected  # we look a little later than it was written


async def test_slow_deliveries_are_given_up_and_do_not_hold_up_others(store: Store) -> None:
    got: list[int] = []

    async def deliver(message: Message) -> None:
        if message.payload["n"] == 1:
            await asyncio.sleep(60)
        got.append(message.payload["n"])

    await add(store, 1, 2, 3)
    async with relaying(Relay(store, deliver, topics=["task:%"], delivery_timeout=0.2)):
        await until(lambda: sorted(got) == [2, 3])
        await until(lambda: has_failed(store, "TimeoutError: "))


async def has_failed(store: Store, error: str) -> bool:
    async with store.connection() as con:
        return bool(await con.fetchval("select last_error = $1 from outbox", error))


async def test_only_its_topics_and_only_what_is_due(store: Store) -> None:
    receiver = Receiver()
    await add(store, 1, topic="webhook")
    await add(store, 2, due_at=datetime.now(UTC) + timedelta(hours=1))
    await add(store, 3)
    async with relaying(Relay(store, receiver.deliver, topics=["task:%"])):
        await until(lambda: receiver.numbers == [3])
        await asyncio.sleep(0.1)
    assert receiver.numbers == [3]
    assert await left(store) == 2


async def test_many_relays_share_the_work(store: Store) -> None:
    receivers = [Receiver() for _ in range(4)]
    async with relaying(*(Relay(store, receiver.deliver, topics=["task:%"]) for receiver in receivers)):
        for first in range(0, 200, 20):
            await add(store, *range(first, first + 20))
        await until(lambda: sum(len(receiver.got) for receiver in receivers) >= 200)
        await until(lambda: is_empty(store))
    assert sorted(number for receiver in receivers for number in receiver.numbers) == list(range(200))


async def test_what_is_rolled_back_is_never_sent(store: Store) -> None:
    receiver = Receiver()
    async with relaying(Relay(store, receiver.deliver, topics=["task:%"], poll=0.02)):
        with pytest.raises(RuntimeError):
            async with store.transaction() as con:
                await put(con, "task:schedule", {"n": 1})
                await asyncio.sleep(0.1)
                raise RuntimeError
        await asyncio.sleep(0.1)
    assert receiver.got == []


async def test_a_relay_that_is_stopped_while_delivering_leaves_the_message(store: Store) -> None:
    begun = asyncio.Event()

    async def endless(message: Message) -> None:
        begun.set()
        await asyncio.sleep(60)

    await add(store, 1)
    async with relaying(Relay(store, endless, topics=["task:%"])):
        await begun.wait()
    assert await left(store) == 1


async def test_a_relay_outlives_the_loss_of_its_connections_and_tables_that_are_not_there(store: Store) -> None:
    receiver = Receiver()
    async with relaying(Relay(store, receiver.deliver, topics=["task:%"], poll=0.05)):
        async with store.connection() as con:
            await con.execute("alter table outbox rename to outbox_away")
            await asyncio.sleep(0.2)
            await con.execute("alter table outbox_away rename to outbox")
            await con.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        await add(store, 1)
        await until(lambda: receiver.numbers == [1])
