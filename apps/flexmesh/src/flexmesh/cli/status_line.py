"""Progress of commands whose result arrives in parts."""

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from datetime import datetime

    from flexstore.series import WriteCounts


class StatusLine:
    """Progress in one changing line of the terminal; nothing is shown elsewhere."""

    def __init__(self, name: str) -> None:
        from rich.console import Console

        self._name = name
        self._status = Console(stderr=True).status(f"{name} asks …")

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def tell(self, until: "datetime", written: "WriteCounts") -> None:
        self._status.update(f"{self._name}: up to {until:%Y-%m-%d %H:%M}, {written.new} new values")
