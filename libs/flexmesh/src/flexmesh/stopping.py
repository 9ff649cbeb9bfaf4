"""Being asked to stop, by SIGTERM or Ctrl-C, at any moment from the start on."""

import signal

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """Remembers that somebody asked. While the web server runs it listens to the signals itself."""

    def __init__(self) -> None:
        self.asked = False
        for number in SIGNALS:
            signal.signal(number, lambda *_: self.ask())

    def ask(self) -> None:
        """The first time we end in good order; who asks again wants it at once."""
        self.asked = True
        for number in SIGNALS:
            signal.signal(number, signal.default_int_handler)
