"""`POST /internal/sensors/{id}/data/upload`: files a client uploaded, passed on by the gateway."""

from typing import Any

from fastapi import APIRouter, Request
from flexmodel.errors import Invalid
from flexserve.answers import OrjsonResponse
from starlette.datastructures import FormData, UploadFile

from ingest.data.routes import ActingUser, stored
from ingest.files.service import File, Upload
from ingest.ingest import Here

FILES = "uploaded-files"
INSTANTLY = "belief-time-measured-instantly"
TRUE, FALSE = ("on", "true", "1"), ("off", "false", "0", "")
MOST_FILES = 20


router = APIRouter(prefix="/internal/sensors")


@router.post("/{sensor_id}/data/upload")
async def upload_data(sensor_id: int, user: ActingUser, here: Here, request: Request) -> OrjsonResponse:
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Invalid({FILES: ["Send the files as multipart/form-data."]})
    async with request.form(max_files=MOST_FILES, max_fields=MOST_FILES) as form:
        upload = await read_form(form)
    taken = await here.uploading.take(sensor_id, user, upload)
    return stored(taken.written, rows=taken.rows)


async def read_form(form: FormData) -> Upload:
    unknown = {name: ["Unknown field."] for name in form if name not in (FILES, INSTANTLY, "unit")}
    if unknown:
        raise Invalid(unknown)
    parts = form.getlist(FILES)
    if not parts:
        raise Invalid({FILES: ["Missing data for required field."]})
    files = [await read_part(part, position) for position, part in enumerate(parts)]
    unit = form.get("unit") or None
    if isinstance(unit, UploadFile):
        raise Invalid({"unit": ["Not a valid string."]})
    return Upload(files, unit, measured_instantly=yes_or_no(form.get(INSTANTLY)))


async def read_part(part: Any, position: int) -> File:
    if not isinstance(part, UploadFile):
        raise Invalid({FILES: {str(position): ["This is text, not a file. Send it with a file name."]}})
    return File(part.filename or "", await part.read())


def yes_or_no(value: Any) -> bool:
    text = "" if value is None else str(value).lower()
    if text not in TRUE + FALSE:
        raise Invalid({INSTANTLY: ["Not a valid boolean."]})
    return text in TRUE
