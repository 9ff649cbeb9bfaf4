"""Requests to stop, by SIGTERM or Ctrl-C, at any moment from the start on."""

import signal
from time import monotonic
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ONE_WISH_SECONDS = 1.0
"""A second signal within this time is the same request, delivered twice: by make and by the process group, say."""


class Stop:
    """Remembers a request to stop. While the web server runs, it handles the signals itself."""

    def __init__(self) -> None:
        self.asked = False
        for number in SIGNALS:
            signal.signal(number, lambda *_: self.ask())

    def ask(self) -> None:
        """Request an orderly stop. A later second request stops at once."""
        self.asked = True
        asked_at = monotonic()

        def again(number: int, frame: FrameType | None) -> None:
            if monotonic() - asked_at > ONE_WISH_SECONDS:
                signal.default_int_handler(number, frame)

        for number in SIGNALS:
            signal.signal(number, again)
