"""Responses about jobs: their states in words, and their fields."""

from typing import Any

from flexwork.jobs import Job

from api_gateway.times import instant

STATUS_CODES = {
    "QUEUED": 202, "DEFERRED": 202, "STARTED": 202, "FINISHED": 200, "FAILED": 422, "STOPPED": 422, "CANCELED": 422,
}  # fmt: skip
KINDS = {
    "schedule": ("Scheduling", "scheduling"),
    "forecast": ("Forecasting", "forecasting"),
    "ingest": ("Ingestion", "ingestion"),
    "report": ("Reporting", "reporting"),
}
"""The name of the job in messages, and its origin as existing clients expect it, by queue."""
STATES = {
    "QUEUED": "{} job waiting to be processed.",
    "DEFERRED": "{} job waiting for another job to be processed.",
    "STARTED": "{} job in progress.",
    "FINISHED": "{} job has finished.",
    "FAILED": "{} job failed: {}",
    "STOPPED": "{} job was stopped.",
    "CANCELED": "{} job was canceled.",
}


def message(job: Job) -> str:
    """Return a sentence about the state of the job."""
    kind = KINDS.get(job.queue, (job.queue.capitalize(), ""))[0]
    return STATES[job.status].format(kind, job.error or "no reason was recorded.")


def job_response(job: Job) -> dict[str, Any]:
    """Return a job as in responses, with times under both spellings that clients read."""
    fields = {
        "func_name": f"{job.queue}.run",
        "enqueued_at": instant(job.enqueued_at),
        "started_at": instant(job.started_at),
        "ended_at": instant(job.ended_at),
        "exc_info": job.error,
    }
    answer = {
        "message": message(job),
        "origin": KINDS.get(job.queue, ("", job.queue))[1],
        "result": job.result,
        "status": job.status,
        **fields,
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    warnings = job.info.get("warnings")
    return answer | {"warnings": warnings} if warnings else answer
