"""The feed of activities: loaded once per process, and offered to the event streams of all clients."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from weakref import WeakSet

from flexmodel.errors import Unavailable
from flexserve import logs
from flexstore.store import Connection, Store
from flexwork import activity_log
from flexwork.activities import CHANNEL
from flexwork.activity_log import Activity, Interest
from flexwork.channel_watcher import ChannelWatcher
from prometheus_client import Gauge

from api_gateway.events.stream import NOT_RECORDED, EventStream

log = logs.get(__name__)

STREAMS = Gauge("flexmesh_event_streams", "Clients that are being told of events now.")
POLL_SECONDS, SOON_SECONDS = 5.0, 0.25
"""The interval of looking for missed activities, and the shorter one after there were some."""
RIGHTS = "flexmesh_rights"
"""The database notifies this channel when somebody may have lost a right: a token, a role, a client account."""
TEND_SECONDS = 20.0
"""The interval of checking the rights of clients in any case: tokens expire without a notification."""
MOST_ASKING = 3
"""The most streams that use the database at a time."""
ENDING = "The server is stopping. Please connect again."

type Reach = Callable[[Collection[int]], Awaitable[dict[int, frozenset[int] | None]]]
"""Returns the accounts whose activities each token may read (None: all), without the tokens that are not valid."""


class ActivityFeed:
    """Listens for activities on one connection, and loads them for all clients of the process."""

    def __init__(self, store: Store, reach: Reach) -> None:
        self.store = store
        self.reach = reach
        self.position = 0
        """The position up to which everything was offered to the streams."""
        self._streams: set[EventStream] = set()
        self._expected: WeakSet[EventStream] = WeakSet()
        """The streams about to join; weak, because a client may leave before."""
        self._by_account: dict[int | None, set[EventStream]] = defaultdict(set)
        self._followed: dict[int, tuple[Interest, float]] = {}
        """The followed accounts, with the time (monotonic) from which all writers know."""
        self._turns = asyncio.Semaphore(MOST_ASKING)
        self._checking = asyncio.Lock()
        """Keeps checks in order, so that an earlier result does not replace a later one."""
        self._closed = False

    def __len__(self) -> int:
        return len(self._streams)

    async def run(self) -> None:
        """Offer activities to the streams until cancelled."""
        watch = ChannelWatcher(self.store, CHANNEL, self._look, poll=POLL_SECONDS, soon=SOON_SECONDS)
        async with asyncio.TaskGroup() as both:
            both.create_task(watch.run())
            both.create_task(ChannelWatcher(self.store, RIGHTS, self._tend, poll=TEND_SECONDS).run())

    def close(self) -> None:
        """End all streams, and accept no more."""
        self._closed = True
        for stream in self._streams:
            stream.end()

    def streams_of(self, account: int) -> int:
        """Return the number of streams of an account."""
        return sum(stream.account_id == account for stream in self._streams.union(self._expected))

    def expect(self, stream: EventStream) -> None:
        """Count a stream that is about to join, because many may be requested at the same time."""
        self._expected.add(stream)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Yield a connection for a stream. When all clients reconnect at once, they queue here."""
        async with self._turns, self.store.connection() as con:
            yield con

    def check_open(self) -> None:
        if self._closed:
            raise Unavailable("events", ENDING)

    @asynccontextmanager
    async def joined(self, stream: EventStream) -> AsyncIterator[None]:
        """Offer activities to the stream until the block ends."""
        self.check_open()
        first = not self._streams
        self._add(stream)
        self._expected.discard(stream)
        STREAMS.inc()
        try:
            if first:  # streams that resume load earlier activities themselves
                async with self.connection() as con:
                    self.position = await activity_log.newest_position(con)
            yield
        finally:
            STREAMS.dec()
            self._remove(stream)

    async def follow(self, accounts: Iterable[int]) -> Interest:
        """Have stored data of these accounts recorded, and return from which position and when they are."""
        wanted = frozenset(accounts)
        while not wanted <= self._followed.keys():
            async with self.connection() as con:
                unknown = wanted - self._followed.keys()  # other streams may have asked meanwhile
                found = await self._asked(con, unknown) if unknown else {}
            self._followed = self._followed | found
        known = [self._followed[account] for account in wanted]
        since = max((interest.since for interest, _ in known), default=0)
        return Interest(since, max((ready - monotonic() for _, ready in known), default=0.0))

    async def _asked(self, con: Connection, accounts: Collection[int]) -> dict[int, tuple[Interest, float]]:
        found = await activity_log.follow(con, accounts)
        return {account: (interest, monotonic() + interest.seconds) for account, interest in found.items()}

    async def _look(self) -> bool:
        """Offer new activities to the streams, and return whether there were any."""
        if not self._streams:
            return False
        async with self.store.connection() as con:
            await activity_log.assign_positions(con)
            events = await activity_log.load(con, self.position, activity_log.EVERYTHING)
        for event in events:
            self._pass_on(event)
        return bool(events)

    def _pass_on(self, event: Activity) -> None:
        self.position = event.position
        if event.account_id is None:
            hearers = self._streams
        else:
            hearers = self._by_account.get(event.account_id, set()) | self._by_account.get(None, set())
        for stream in hearers:
            if event in stream.wanted:
                stream.offer(event)

    async def _tend(self) -> bool:
        await self.check()
        return False

    async def check(self) -> None:
        """End the streams of clients that lost their rights, and renew the interest in stored data of the others."""
        async with self._checking:
            asked = list(self._streams)  # streams that join during the query were just authorised
            if asked:
                self._heed(asked, await self.reach({stream.token_id for stream in asked}))
            await self._go_on_following()

    def _heed(self, streams: Iterable[EventStream], reach: Mapping[int, frozenset[int] | None]) -> None:
        for stream in self._streams.intersection(streams):
            if stream.token_id not in reach:
                stream.end()
            elif reach[stream.token_id] != stream.wanted.accounts:
                self._remove(stream)
                stream.restrict(reach[stream.token_id])
                self._add(stream)

    async def _go_on_following(self) -> None:
        followed: frozenset[int] = frozenset().union(*(stream.follows for stream in self._streams))
        now: dict[int, tuple[Interest, float]] = {}
        if followed:
            async with self.connection() as con:
                now = await self._asked(con, followed)
        before, self._followed = self._followed, now
        for account in now.keys() & before.keys():
            since = now[account][0].since
            if since > before[account][0].since:  # the interest had expired
                for stream in self._streams:
                    if account in stream.follows:
                        stream.lose(NOT_RECORDED, since)

    def _add(self, stream: EventStream) -> None:
        self._streams.add(stream)
        for account in (None,) if stream.wanted.accounts is None else stream.wanted.accounts:
            self._by_account[account].add(stream)

    def _remove(self, stream: EventStream) -> None:
        self._streams.discard(stream)
        for account in (None,) if stream.wanted.accounts is None else stream.wanted.accounts:
            self._by_account[account].discard(stream)
            if not self._by_account[account]:
                del self._by_account[account]
