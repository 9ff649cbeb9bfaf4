"""Responses about jobs."""

from typing import Any, Literal

from flexcore.fields import absent
from pydantic import Field

from api_gateway.response_models import ResponseModel, example

Status = Literal["QUEUED", "DEFERRED", "STARTED", "FINISHED", "FAILED", "STOPPED", "CANCELED"]


class Progress(ResponseModel):
    """How far the job of an upload is."""

    rows_total: int | None = Field(alias="rows-total", description="Lines in its files, where those can be counted.")
    rows_read: int = Field(alias="rows-read")
    rows_stored: int = Field(alias="rows-stored", description="They count once the job has finished.")


class JobAnswer(ResponseModel):
    """A job. Times stand under both spellings that clients read."""

    model_config = example(
        message="Scheduling job has finished.",
        status="FINISHED",
        origin="scheduling",
        result={"num-beliefs": 96},
        func_name="schedule.run",
        enqueued_at="2026-11-22T06:00:00.103377+00:00",
        started_at="2026-11-22T06:00:00.113377+00:00",
        ended_at="2026-11-22T06:00:00.145377+00:00",
        exc_info=None,
        **{
            "func-name": "schedule.run",
            "enqueued-at": "2026-11-22T06:00:00.103377+00:00",
            "started-at": "2026-11-22T06:00:00.113377+00:00",
            "ended-at": "2026-11-22T06:00:00.145377+00:00",
            "exc-info": None,
        },
    )

    message: str
    status: Status
    origin: str
    result: Any
    func_name: str
    enqueued_at: str
    started_at: str | None
    ended_at: str | None
    exc_info: str | None = Field(description="Why it failed.")
    warnings: list[str] = absent()
    progress: Progress = absent()


class AssetJob(ResponseModel):
    asset_or_sensor_type: Literal["asset", "sensor"]
    enqueued_at: str
    entity: str
    err: str | None
    job_id: str
    metadata: str
    metadata_hash: str
    queue: str
    status: str


class AssetJobs(ResponseModel):
    model_config = example(
        jobs=[
            {
                "asset_or_sensor_type": "sensor",
                "enqueued_at": "Sun, 22 Nov 2026 06:00:00 GMT",
                "entity": "sensor: discharging (Id: 2)",
                "err": None,
                "job_id": "364bfd06-c1fa-430b-8d25-8f5a547651fb",
                "metadata": "{}",
                "metadata_hash": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                "queue": "scheduling",
                "status": "finished",
            }
        ],
        redis_connection_err=None,
        status=200,
    )

    jobs: list[AssetJob]
    redis_connection_err: None
    status: int
