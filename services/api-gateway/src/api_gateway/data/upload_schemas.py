"""Responses of uploads, and the description of their bodies, which the ingest service parses."""

from typing import Any
from uuid import UUID

from flexcore.fields import absent
from pydantic import Field

from api_gateway.data.schemas import Stored
from api_gateway.jobs.schemas import Progress
from api_gateway.response_models import ResponseModel, example

JOB = "6a7b2f0c-5a51-4a35-9e5c-1d4f0f2c9b11"
FILE = {"name": "meters.csv", "rows": 95, "refused": 1, "problems": ["row 7: 'n/a' is not a number, such as 12.5."]}

UPLOAD: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["uploaded-files"],
                "properties": {
                    "uploaded-files": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                        "description": "CSV, Excel (.xlsx) or Parquet.",
                    },
                    "belief-time-measured-instantly": {
                        "type": "boolean",
                        "description": "Whether each value was known as soon as its event was over, rather than now.",
                    },
                    "unit": {"type": "string", "description": "The unit of the values; left out: the sensor's."},
                    "timezone": {
                        "type": "string",
                        "description": "Where times without a distance to UTC are; left out: where the sensor is.",
                    },
                    "partial": {
                        "type": "boolean",
                        "description": "Store what can be read of files in which some rows cannot.",
                    },
                },
            }
        }
    },
}


class UploadedFile(ResponseModel):
    name: str
    rows: int = Field(description="Values that were taken.")
    refused: int
    problems: list[str] = Field(description="The first rows that were refused, and why.")


class StoredUpload(Stored):
    model_config = example(
        message="Sensor data has been stored.", status="PROCESSED", rows=96, new=96, changed=0, unchanged=0
    )

    rows: int
    refused: int = absent()
    files: list[UploadedFile] = absent()


class AcceptedUpload(ResponseModel):
    model_config = example(
        message="Sensor data has been accepted for processing.",
        status="ACCEPTED",
        job=JOB,
        **{"job-url": f"/api/v3_0/jobs/{JOB}"},
    )

    message: str
    status: str
    job: UUID
    job_url: str = Field(alias="job-url")


class SensorCounts(ResponseModel):
    sensor: int
    new: int
    changed: int
    unchanged: int


class UploadReport(ResponseModel):
    """What was stored, and which rows were not."""

    model_config = example(
        rows=95,
        new=95,
        changed=0,
        unchanged=0,
        refused=1,
        files=[FILE],
        sensors=[{"sensor": 2, "new": 95, "changed": 0, "unchanged": 0}],
    )

    rows: int
    new: int
    changed: int
    unchanged: int
    refused: int
    files: list[UploadedFile]
    sensors: list[SensorCounts]


class KeptUpload(ResponseModel):
    """The files are kept for good, and stored soon."""

    model_config = example(
        job=JOB,
        status="STARTED",
        message="Ingestion job in progress.",
        progress={"rows-total": 1000000, "rows-read": 400000, "rows-stored": 0},
        **{"job-url": f"/api/v1/data/upload/{JOB}"},
    )

    job: UUID
    job_url: str = Field(alias="job-url")
    status: str
    message: str
    progress: Progress = absent()
