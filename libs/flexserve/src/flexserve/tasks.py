"""What surrounds every task: the ids on its log lines, its trace, its metrics, and what happens when it fails."""

from concurrent.futures import CancelledError
from typing import Any

from celery import Task
from celery.exceptions import Reject
from flexmodel.errors import Unavailable
from opentelemetry.trace import SpanKind

from flexserve import logs, metrics, tracing

log = logs.get(__name__)


class MessageTask(Task):  # type: ignore[misc]
    """A task started by a message that carries the id of a job. Its truth is the job table; the message is a nudge.

    So a task that ends, well or badly, acknowledges its message. Only what was not really tried goes back to the
    queue: because a part was away, or because this worker has to stop.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        # Celery keeps the message's headers, ours included, as attributes of the request.
        headers = {key: value for key, value in vars(self.request).items() if key in tracing.HEADERS}
        with (
            logs.bound(job_id=kwargs.get("job_id"), queue=self.name),
            tracing.span(f"process {self.name}", SpanKind.CONSUMER, parent=headers),
            metrics.job(self.name) as outcome,
        ):
            try:
                self.run(*args, **kwargs)
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
