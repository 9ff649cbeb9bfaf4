"""The form in which files come: the files themselves on disk once they are large, and how to understand them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request
from flexmodel.errors import Invalid
from flexmodel.time import TimeError, zone
from flexserve.validation_messages import MISSING_FIELD, NOT_A_BOOLEAN, NOT_A_STRING, UNKNOWN_FIELD
from starlette.datastructures import FormData, UploadFile

from ingest.files.problems import room_on_disk
from ingest.files.report import FILES
from ingest.files.service import File, Terms

INSTANTLY = "belief-time-measured-instantly"
FIELDS = (FILES, INSTANTLY, "unit", "timezone", "partial")
TRUE, FALSE = ("on", "true", "1"), ("off", "false", "0", "")
MOST_FILES = 20


@asynccontextmanager
async def opened_form(request: Request, sensor: int | None = None) -> AsyncIterator[tuple[Terms, list[File]]]:
    """The files of a request, and how to read them, for as long as the block lasts."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Invalid({FILES: ["Send the files as multipart/form-data."]})
    with room_on_disk():
        async with request.form(max_files=MOST_FILES, max_fields=MOST_FILES) as form:
            yield terms_in(form, sensor), files_in(form)


def terms_in(form: FormData, sensor: int | None) -> Terms:
    unknown = {name: [UNKNOWN_FIELD] for name in form if name not in FIELDS}
    if unknown:
        raise Invalid(unknown)
    return Terms(
        sensor,
        unit=text(form, "unit"),
        timezone=known_zone(text(form, "timezone")),
        measured_instantly=yes_or_no(form, INSTANTLY),
        partial=yes_or_no(form, "partial"),
    )


def files_in(form: FormData) -> list[File]:
    parts = form.getlist(FILES)
    if not parts:
        raise Invalid({FILES: [MISSING_FIELD]})
    return [read_part(part, position) for position, part in enumerate(parts)]


def read_part(part: Any, position: int) -> File:
    if not isinstance(part, UploadFile):
        raise Invalid({FILES: {str(position): ["This is text, not a file. Send it with a file name."]}})
    return File(part.filename or "", part.file, part.size or 0)


def text(form: FormData, field: str) -> str | None:
    value = form.get(field) or None
    if isinstance(value, UploadFile):
        raise Invalid({field: [NOT_A_STRING]})
    return value


def yes_or_no(form: FormData, field: str) -> bool:
    value = (text(form, field) or "").lower()
    if value not in TRUE + FALSE:
        raise Invalid({field: [NOT_A_BOOLEAN]})
    return value in TRUE


def known_zone(name: str | None) -> str | None:
    if name is not None:
        try:
            zone(name)
        except TimeError as error:
            raise Invalid({"timezone": [str(error)]}) from error
    return name
