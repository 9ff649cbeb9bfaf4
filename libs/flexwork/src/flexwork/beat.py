"""The beat: looks up due messages again and again, in a thread of this process, and puts them on the queues."""

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

from celery.beat import Scheduler, Service
from flexmodel.errors import Unavailable
from flexserve import logs

from flexwork.broker import BrokerApp, Publisher
from flexwork.event_loop import BackgroundLoop

log = logs.get(__name__)

STOP_SECONDS = 5.0

type Message = tuple[str, Mapping[str, Any]]
"""A queue and the payload of a message."""
type FindDue = Callable[[], Awaitable[Sequence[Message]]]
"""Returns the messages that are due."""


class Beat:
    """Publishes the messages of `find_due`, every `every` seconds, until it or the worker of `app` stops.

    `find_due` runs on the event loop. Any number of beats may run at once, in one process or in many: `find_due`
    returns each message to one of them only, and returns it again later if its task was not done.
    """

    def __init__(self, app: BrokerApp, loop: BackgroundLoop, find_due: FindDue, *, every: float = 1.0) -> None:
        self._app = app
        self._loop = loop
        self._find_due = find_due
        self._publisher = Publisher(app)
        self._every = every
        self._service = Service(app, scheduler_cls=partial(_Scheduler, beat=self), remote_control=False)
        self._thread = threading.Thread(target=self._service.start, name="beat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._app.stopping.set()
        self._thread.join(STOP_SECONDS)
        self._publisher.close()

    def tick(self) -> None:
        """Publish due messages, and wait until the next look."""
        try:
            self._loop.call(self._send_due())
        except CancelledError:
            pass  # the worker of this process stops, and has interrupted its work
        except Unavailable as error:
            log.warning("what is due waits", error=error.message)
        except Exception:  # no error may end the beat, for example tables that are not there yet
            log.exception("what is due could not be looked up")
        if self._app.stopping.wait(self._every):
            self._service.stop()

    async def _send_due(self) -> None:
        for queue, payload in await self._find_due():
            await self._publisher.publish(queue, payload)


class _Scheduler(Scheduler):
    """Celery's scheduler, which runs the `Beat` in place of a schedule file."""

    def __init__(self, *args: object, beat: Beat, **options: object) -> None:
        self._beat = beat
        super().__init__(*args, **options)

    def setup_schedule(self) -> None:
        self.schedule: dict[str, Any] = {}

    def tick(self, *_: object, **__: object) -> float:
        self._beat.tick()
        return 0.0
