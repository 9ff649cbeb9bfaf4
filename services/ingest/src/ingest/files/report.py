"""Report of an upload: the numbers of values stored per sensor, and the refused rows of each file."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flexmodel.errors import Invalid
from flexstore.series import WriteCounts

from ingest.files.errors import MAX_LISTED, RowErrors

FILES_FIELD = "uploaded-files"


@dataclass(slots=True)
class FileReport:
    """Report of one file."""

    name: str
    rows: int = 0
    """Values read from it."""
    errors: RowErrors = field(default_factory=RowErrors)
    late_errors: RowErrors = field(default_factory=RowErrors)
    """Errors found only in comparison with other rows. These rows count among `rows` too."""
    stopped_early: bool = False
    """True if the file was not read to its end."""

    @property
    def refused(self) -> int:
        """Number of refused rows."""
        return self.errors.count + self.late_errors.count

    @property
    def accepted_rows(self) -> int:
        """Number of values that are stored if the upload is."""
        return self.rows - self.late_errors.count

    def to_sentences(self) -> list[str]:
        """Return the errors as sentences."""
        listed = sorted([*self.errors.listed, *self.late_errors.listed])[:MAX_LISTED]
        rest = ["The rest of the file was not read."] if self.stopped_early else []
        return [*RowErrors(self.refused, listed).to_sentences(), *rest]


@dataclass(slots=True)
class UploadReport:
    """Report of all files of an upload."""

    files: list[FileReport] = field(default_factory=list)
    sensors: dict[int, WriteCounts] = field(default_factory=lambda: defaultdict(WriteCounts))

    @property
    def total(self) -> WriteCounts:
        """Counts of all sensors together."""
        return sum(self.sensors.values(), WriteCounts())

    def to_json(self) -> dict[str, object]:
        """Return the report as the API shows it."""
        return {
            "rows": sum(file.accepted_rows for file in self.files),
            **counts_to_json(self.total),
            "refused": sum(file.refused for file in self.files),
            "files": [
                {
                    "name": file.name,
                    "rows": file.accepted_rows,
                    "refused": file.refused,
                    "problems": file.to_sentences(),
                }
                for file in self.files
            ],
            "sensors": [
                {"sensor": sensor, **counts_to_json(written)} for sensor, written in sorted(self.sensors.items())
            ],
        }


def counts_to_json(written: WriteCounts) -> dict[str, int]:
    """Return the numbers of new, changed and unchanged values."""
    return {"new": written.new, "changed": written.changed, "unchanged": written.unchanged}


def refused_files(errors: Mapping[int, Sequence[str]], names: Sequence[str]) -> Invalid:
    """Build the error of refused files, by their position."""
    parts = [f"{names[position] or 'the file'}: {' '.join(sentences)}" for position, sentences in errors.items()]
    fields = {FILES_FIELD: {str(position): list(sentences) for position, sentences in errors.items()}}
    return Invalid(fields, "Nothing was stored. " + " ".join(parts))
