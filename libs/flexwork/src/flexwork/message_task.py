"""The base class of tasks, with their log ids, trace, metrics and error handling."""

from concurrent.futures import CancelledError
from time import time

from celery import Task
from celery.exceptions import Reject
from flexmodel.errors import Unavailable
from flexserve import logs, metrics, tracing
from opentelemetry.trace import SpanKind

log = logs.get(__name__)

SENT_AT = "flexmesh_sent_at"
"""The header with the Unix time at which a message was published."""
FAILED = "FAILED"
"""The state of a failed job."""


class MessageTask(Task):
    """A task started by a message that carries the id of a job, as the argument `job`.

    The job table is the truth, and the message only a signal: a task that ends, well or badly, acknowledges it. A
    message goes back to the queue only when a part was away or this worker has to stop.
    """

    abstract = True

    def __call__(self, *args: object, **kwargs: object) -> None:
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
