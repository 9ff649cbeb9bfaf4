"""Wire model of an upload, a multipart form: the files, and the options for parsing them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from fastapi import Request
from flexmodel.errors import Invalid
from flexmodel.time import TimeError, zone
from flexserve.validation_messages import MISSING_FIELD, NOT_A_BOOLEAN, NOT_A_STRING, UNKNOWN_FIELD
from starlette.datastructures import FormData, UploadFile

from ingest.files.errors import disk_full_as_unavailable
from ingest.files.file_formats import is_compressed_format
from ingest.files.report import FILES_FIELD

MEASURED_INSTANTLY = "belief-time-measured-instantly"
FIELDS = (FILES_FIELD, MEASURED_INSTANTLY, "unit", "timezone", "partial")
TRUE, FALSE = ("on", "true", "1"), ("off", "false", "0", "")
MAX_FILES = 20


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file of an upload, on disk if it is large."""

    name: str
    content: BinaryIO
    size: int

    def is_compressed(self) -> bool:
        """Return whether the file's size says little about its content."""
        self.content.seek(0)
        return is_compressed_format(self.content.read(4))


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """Options for parsing the files of an upload."""

    sensor_id: int | None
    """Sensor of all values; None if the files name their sensors."""
    unit: str | None = None
    timezone: str | None = None
    measured_instantly: bool = False
    """True if the belief time of each value is the end of its event, rather than now."""
    partial: bool = False
    """True to store the good rows of files that also have bad ones."""


@asynccontextmanager
async def open_form(
    request: Request, sensor_id: int | None = None
) -> AsyncIterator[tuple[UploadOptions, list[UploadedFile]]]:
    """Open the form of a request: its options and files, which are closed at the end of the block."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Invalid({FILES_FIELD: ["Send the files as multipart/form-data."]})
    with disk_full_as_unavailable():
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
            yield parse_options(form, sensor_id), parse_files(form)


def parse_options(form: FormData, sensor_id: int | None) -> UploadOptions:
    """Parse the options of an upload. Unknown fields are refused."""
    unknown = {name: [UNKNOWN_FIELD] for name in form if name not in FIELDS}
    if unknown:
        raise Invalid(unknown)
    return UploadOptions(
        sensor_id,
        unit=text_field(form, "unit"),
        timezone=check_time_zone(text_field(form, "timezone")),
        measured_instantly=boolean_field(form, MEASURED_INSTANTLY),
        partial=boolean_field(form, "partial"),
    )


def parse_files(form: FormData) -> list[UploadedFile]:
    """Return the files of the form."""
    parts = form.getlist(FILES_FIELD)
    if not parts:
        raise Invalid({FILES_FIELD: [MISSING_FIELD]})
    return [parse_file_part(part, position) for position, part in enumerate(parts)]


def parse_file_part(part: UploadFile | str, position: int) -> UploadedFile:
    """Return one file of the form."""
    if not isinstance(part, UploadFile):
        raise Invalid({FILES_FIELD: {str(position): ["This is text, not a file. Send it with a file name."]}})
    return UploadedFile(part.filename or "", part.file, part.size or 0)


def text_field(form: FormData, field: str) -> str | None:
    """Return a text field; None if it is missing or empty."""
    value = form.get(field) or None
    if isinstance(value, UploadFile):
        raise Invalid({field: [NOT_A_STRING]})
    return value


def boolean_field(form: FormData, field: str) -> bool:
    """Return a boolean field; false if it is missing."""
    value = (text_field(form, field) or "").lower()
    if value not in TRUE + FALSE:
        raise Invalid({field: [NOT_A_BOOLEAN]})
    return value in TRUE


def check_time_zone(name: str | None) -> str | None:
    """Refuse a time zone that is not known."""
    if name is not None:
        try:
            zone(name)
        except TimeError as error:
            raise Invalid({"timezone": [str(error)]}) from error
    return name
