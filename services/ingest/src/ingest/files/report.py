"""What came of an upload: what was stored of each sensor, and which rows of each file were refused and why."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flexmodel.errors import Invalid
from flexstore.series import WriteCounts

from ingest.files.problems import MANY, Problems

FILES = "uploaded-files"


@dataclass(slots=True)
class FileReport:
    """What came of one file."""

    name: str
    rows: int = 0
    """Values that were read from it."""
    problems: Problems = field(default_factory=Problems)
    late: Problems = field(default_factory=Problems)
    """Those found wrong only beside the other rows; they count among `rows` too."""
    stopped: bool = False
    """Whether it was not read to its end."""

    @property
    def refused(self) -> int:
        return self.problems.count + self.late.count

    @property
    def taken(self) -> int:
        return self.rows - self.late.count

    def sentences(self) -> list[str]:
        first = sorted([*self.problems.first, *self.late.first])[:MANY]
        rest = ["The rest of the file was not read."] if self.stopped else []
        return [*Problems(self.refused, first).sentences(), *rest]


@dataclass(slots=True)
class Report:
    files: list[FileReport] = field(default_factory=list)
    sensors: dict[int, WriteCounts] = field(default_factory=lambda: defaultdict(WriteCounts))

    @property
    def written(self) -> WriteCounts:
        return sum(self.sensors.values(), WriteCounts())

    def as_json(self) -> dict[str, Any]:
        return {
            "rows": sum(file.taken for file in self.files),
            **counts(self.written),
            "refused": sum(file.refused for file in self.files),
            "files": [
                {"name": file.name, "rows": file.taken, "refused": file.refused, "problems": file.sentences()}
                for file in self.files
            ],
            "sensors": [{"sensor": sensor, **counts(written)} for sensor, written in sorted(self.sensors.items())],
        }


def counts(written: WriteCounts) -> dict[str, int]:
    return {"new": written.new, "changed": written.changed, "unchanged": written.unchanged}


def refusal(problems: Mapping[int, Sequence[str]], names: Sequence[str]) -> Invalid:
    """The refusal of files, by their position."""
    told = [f"{names[position] or 'the file'}: {' '.join(sentences)}" for position, sentences in problems.items()]
    fields = {FILES: {str(position): list(sentences) for position, sentences in problems.items()}}
    return Invalid(fields, "Nothing was stored. " + " ".join(told))
