"""Progress of a command, as short lines with the duration of each step."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper

from rich.console import Console


@dataclass
class Step:
    name: str
    detail: str


class Steps:
    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal without bars and dots still shows the rest
        self.console = Console(highlight=False, soft_wrap=True)
        self.began = time.monotonic()

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[Step]:
        """Print the step with its duration when it is done. The block may change `detail`."""
        step = Step(name, detail)
        began = time.monotonic()
        yield step
        seconds = time.monotonic() - began
        self.console.print(f"  [green]✓[/green] {step.name:<12} {seconds:5.2f} s  [dim]{step.detail}[/dim]")

    def say(self, text: str = "") -> None:
        self.console.print(text)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began
