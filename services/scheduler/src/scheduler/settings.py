"""Settings of the scheduler."""

from flexwork.settings import WorkerSettings
from pydantic import Field


class SchedulerSettings(WorkerSettings):
    """Settings of the scheduler, in addition to the shared ones."""

    port: int = Field(5002, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")
    database_connections: int = Field(5, ge=1, le=200, description="The most connections to the database at a time.")
    solve_seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds of solving after which the best schedule found so far is taken, and told how far from "
        "the best possible one it can be at most.",
    )
    optimize_sync_seconds: float = Field(
        2.0,
        ge=0,
        description="Seconds of solving within which `POST /api/v1/optimize` is answered at once; what takes longer "
        "becomes a job. 0: everything does.",
    )
    optimize_largest: int = Field(
        250_000,
        ge=1,
        description="The largest problem that `POST /api/v1/optimize` takes: entries of the flex-model times steps.",
    )
