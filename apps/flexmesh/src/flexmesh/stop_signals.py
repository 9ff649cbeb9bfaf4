"""Requests to stop, by SIGTERM or Ctrl-C, at any moment from the start on."""

import signal
from time import monotonic
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
SAME_REQUEST_SECONDS = 1.0
"""A second signal within this time is the same request, delivered twice: by make and by the process group, say."""


class StopRequest:
    """Remembers a request to stop. While the web server runs, it handles the signals itself."""

    def __init__(self) -> None:
        self.requested = False
        for number in SIGNALS:
            signal.signal(number, lambda *_: self.request())

    def request(self) -> None:
        """Request an orderly stop. A later second request stops at once."""
        self.requested = True
        asked_at = monotonic()

        def again(number: int, frame: FrameType | None) -> None:
            if monotonic() - asked_at > SAME_REQUEST_SECONDS:
                signal.default_int_handler(number, frame)

        for number in SIGNALS:
            signal.signal(number, again)
