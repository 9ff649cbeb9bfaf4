"""Prometheus metrics: requests by route template, jobs by queue, messages and the process."""

import asyncio
import platform
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flexserve import logs

log = logs.get(__name__)

REQUESTS = Histogram(
    "flexmesh_http_request_seconds",
    "Duration of HTTP requests by route template.",
    ("service", "method", "route", "status"),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
REQUESTS_IN_FLIGHT = Gauge("flexmesh_http_requests_in_flight", "HTTP requests being answered now.", ("service",))
JOBS = Histogram(
    "flexmesh_job_seconds",
    "Duration of jobs by queue and outcome (done, failed, returned).",
    ("queue", "outcome"),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
JOBS_IN_FLIGHT = Gauge("flexmesh_jobs_in_flight", "Jobs being worked on now.", ("queue",))
MESSAGE_WAITS = Histogram(
    "flexmesh_message_wait_seconds",
    "Time from publishing a message to the start of its task.",
    ("queue",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 60, 300, 1800),
)
MESSAGES = Counter("flexmesh_messages_published", "Messages given to the broker.", ("queue", "outcome"))
QUEUE_LENGTH = Gauge("flexmesh_queue_messages", "Messages waiting in a queue of the broker.", ("queue",))
BUILD = Gauge("flexmesh_build_info", "Always 1; the labels tell what runs.", ("service", "version", "python"))

Sampler = Callable[[], Awaitable[None]]
samplers: set[Sampler] = set()
"""Functions that set gauges, called before each scrape. One that fails or is slow is skipped."""
SAMPLE_SECONDS = 1.0
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def routes(service: str, version: str) -> list[Route]:
    """Return the route `GET /metrics`."""
    BUILD.labels(service, version, platform.python_version()).set(1)

    async def metrics(request: Request) -> Response:
        await asyncio.gather(*map(_sample, samplers))
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(REGISTRY), headers={"Content-Type": content_type})

    return [Route("/metrics", metrics)]


def count_request(service: str, method: str, route: str, status: int, seconds: float) -> None:
    """Observe the duration of a request."""
    REQUESTS.labels(service, method if method in _METHODS else "other", route, status).observe(seconds)


@contextmanager
def job(queue: str) -> Iterator["JobOutcome"]:
    """Count and time a job. Set the value of the yielded outcome unless the job is simply done."""
    outcome = JobOutcome()
    in_flight = JOBS_IN_FLIGHT.labels(queue)
    start = perf_counter()
    in_flight.inc()
    try:
        yield outcome
    except BaseException:
        outcome.value = "failed"
        raise
    finally:
        in_flight.dec()
        JOBS.labels(queue, outcome.value).observe(perf_counter() - start)


class JobOutcome:
    """The outcome of a job: done, failed, or returned to the queue."""

    value = "done"


async def _sample(sampler: Sampler) -> None:
    try:
        async with asyncio.timeout(SAMPLE_SECONDS):
            await sampler()
    except Exception as error:
        log.debug("a gauge could not be read", error=str(error))
