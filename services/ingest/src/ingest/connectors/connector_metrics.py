"""Metrics of connectors, queried from the database at every scrape, so that any process can publish them."""

from collections.abc import Iterator
from contextlib import contextmanager

from flexserve import metrics
from flexstore.store import Store
from prometheus_client import Gauge

LABELS = ("connector", "kind")

AGE = Gauge(
    "flexmesh_connector_success_age_seconds", "Time since a connector's last good run, or since it began.", LABELS
)
INTERVAL = Gauge("flexmesh_connector_interval_seconds", "Time between two runs of a connector.", LABELS)
AHEAD = Gauge(
    "flexmesh_connector_data_ahead_seconds",
    "How far into the future a connector's data reach; negative: the past. Before the first ones: since it began.",
    LABELS,
)
FAILURES = Gauge("flexmesh_connector_failures", "Runs of a connector that failed since its last good one.", LABELS)

STATES = """
select id::text, kind, extract(epoch from now() - coalesce(last_success_at, created_at))::float8,
    extract(epoch from every)::float8, extract(epoch from coalesce(data_until, created_at) - now())::float8, failures
from connector where enabled
"""


@contextmanager
def publish_connector_metrics(store: Store) -> Iterator[None]:
    """Publish the metrics of the connectors in the store, within the block."""

    async def update_gauges() -> None:
        async with store.connection() as con:
            rows = await con.fetch(STATES)
        for gauge in (AGE, INTERVAL, AHEAD, FAILURES):
            gauge.clear()
        for number, kind, age, interval, ahead, failures in rows:
            AGE.labels(number, kind).set(age)
            INTERVAL.labels(number, kind).set(interval)
            FAILURES.labels(number, kind).set(failures)
            AHEAD.labels(number, kind).set(ahead)

    metrics.samplers.add(update_gauges)
    try:
        yield
    finally:
        metrics.samplers.discard(update_gauges)
