"""Descriptions and examples of activity types, for the documentation of event streams and webhooks."""

from dataclasses import dataclass
from typing import Any

import orjson
from flexcore.webhooks.inputs import TEST
from flexwork.activities import ActivityType

JOB = "5f7f3b1e-7c1c-4b7e-9e7b-0d3f6a1c2b4d"
AT = "2026-11-22T09:15:00.123456+00:00"
"""Sent to webhooks only, when somebody tests one."""


@dataclass(frozen=True, slots=True)
class ActivityDescription:
    """A description of an activity type, with an example of its `data`."""

    sentence: str
    data: dict[str, Any]

    def example(self, type: str) -> dict[str, Any]:
        return {"type": type, "timestamp": AT, "data": self.data}


A_JOB = {"job": JOB, "queue": "schedule", "asset": 5, "sensor": 8}
RESULT = {"num-beliefs": 96, "resolved": {}, "unresolved": {}}
DESCRIPTIONS: dict[str, ActivityDescription] = {
    ActivityType.JOB_QUEUED: ActivityDescription(
        "A job waits for a worker: it is new, or its worker gave it back.", A_JOB
    ),
    ActivityType.JOB_STARTED: ActivityDescription("A worker has begun with a job.", A_JOB),
    ActivityType.JOB_PROGRESS: ActivityDescription(
        "How far the job of an upload is; told every half second at most.",
        {**A_JOB, "queue": "ingest", "rows-total": 1_000_000, "rows-read": 400_000, "rows-stored": 0},
    ),
    ActivityType.JOB_FINISHED: ActivityDescription("A job is done.", A_JOB),
    ActivityType.JOB_FAILED: ActivityDescription(
        "A job failed, and why.", A_JOB | {"error": "No prices are known from 2026-11-23 on."}
    ),
    ActivityType.SCHEDULE_FINISHED: ActivityDescription(
        "A schedule was computed and stored on these sensors. No `data.stored` comes besides.",
        {"job": JOB, "asset": 5, "sensors": [8, 9], "result": RESULT},
    ),
    ActivityType.SCHEDULE_FAILED: ActivityDescription(
        "A schedule could not be computed, and why.",
        {"job": JOB, "asset": 5, "error": "No prices are known from 2026-11-23 on."},
    ),
    ActivityType.DATA_STORED: ActivityDescription(
        "Values were stored that somebody sent: how many were new or changed, and in which window they are.",
        {
            "sensor": 8,
            "start": "2026-11-22T08:00:00+00:00",
            "end": "2026-11-22T09:00:00+00:00",
            "new": 4,
            "changed": 0,
        },
    ),
    ActivityType.DATA_DELETED: ActivityDescription(
        "Values of a sensor were deleted: how many, and in which window (null: without a bound).",
        {"sensor": 8, "start": "2026-11-01T00:00:00+00:00", "end": None, "deleted": 2976},
    ),
    ActivityType.ASSET_CREATED: ActivityDescription("An asset was created.", {"asset": 5}),
    ActivityType.ASSET_UPDATED: ActivityDescription(
        "Fields of an asset were changed.", {"asset": 5, "fields": ["flex_model"]}
    ),
    ActivityType.ASSET_DELETED: ActivityDescription(
        "An asset was deleted, with all below it.", {"asset": 5, "sensors": [8, 9]}
    ),
    ActivityType.SENSOR_CREATED: ActivityDescription("A sensor was created.", {"asset": 5, "sensor": 8}),
    ActivityType.SENSOR_UPDATED: ActivityDescription(
        "Fields of a sensor were changed.", {"asset": 5, "sensor": 8, "fields": ["name"]}
    ),
    ActivityType.SENSOR_DELETED: ActivityDescription("A sensor was deleted, with its data.", {"asset": 5, "sensor": 8}),
    ActivityType.WEBHOOK_DISABLED: ActivityDescription(
        "A webhook is told nothing more, and why.",
        {"webhook": 3, "reason": "it answered 410 Gone, so it wants no more."},
    ),
    TEST: ActivityDescription("Somebody wants to see whether the webhook works.", {"webhook": 3}),
}

EXAMPLE = "\n".join(
    f"id: {1041 + i}\nevent: {type}\ndata: {orjson.dumps(DESCRIPTIONS[type].example(type)).decode()}\n"
    for i, type in enumerate((ActivityType.JOB_STARTED, ActivityType.SCHEDULE_FINISHED))
)
"""An example of a stream."""
