"""What surrounds every task: the ids on its log lines, its trace, its metrics, and what happens when it fails."""

from concurrent.futures import CancelledError
from time import time
from typing import Any

from celery import Task
from celery.exceptions import Reject
from flexmodel.errors import Unavailable
from flexserve import logs, metrics, tracing
from opentelemetry.trace import SpanKind

log = logs.get(__name__)

SENT_AT = "flexmesh_sent_at"
"""The header with the Unix time at which a message was published."""
FAILED = "FAILED"
"""The state of a job that was worked on and came to nothing."""


class MessageTask(Task):
    """A task started by a message that carries the id of a job, as the argument `job`.

    The job table is the truth, the message only a nudge: a task that ends, well or badly, acknowledges it. Only what
    was not really tried goes back to the queue, because a part was away or because this worker has to stop.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        # Celery keeps the message's headers, ours included, as attributes of the request.
        message = vars(self.request)
        headers = {key: value for key, value in message.items() if key in tracing.HEADERS}
        if SENT_AT in message:
            metrics.MESSAGE_WAITS.labels(self.name).observe(max(0.0, time() - message[SENT_AT]))
        with (
            logs.bound(job_id=kwargs.get("job"), queue=self.name),
            tracing.span(f"process {self.name}", SpanKind.CONSUMER, parent=headers),
            metrics.job(self.name) as outcome,
        ):
            try:
                # A task may return the state in which it left its job.
                if self.run(*args, **kwargs) == FAILED:
                    outcome.value = "failed"
            except CancelledError:
                outcome.value = "returned"
                log.info("the job goes back to the queue because this worker stops")
                raise Reject("the worker stops", requeue=True) from None
            except Unavailable as error:
                outcome.value = "returned"
                log.warning("the job goes back to the queue", error=error.message)
                self.app.stopping.wait(error.retry_after)
                raise Reject(error.message, requeue=True) from None
            except Exception:
                outcome.value = "failed"
                log.exception("the task failed")
