"""Health routes: `/health/live` while the process runs, `/health/ready` while all its dependencies respond."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from flexmodel.errors import FlexmeshError
from starlette.requests import Request
from starlette.routing import Route

from flexserve import logs
from flexserve.responses import OrjsonResponse

log = logs.get(__name__)


@dataclass(frozen=True)
class Check:
    """A readiness check. `probe` raises if the dependency does not work."""

    name: str
    probe: Callable[[], Awaitable[object]]
    timeout: float | None = None
    """Seconds; the service's `readiness_timeout` if None."""


def routes(service: str, version: str, checks: Sequence[Check], seconds: float) -> list[Route]:
    """Return both routes. A check without a timeout of its own gets `seconds`."""

    async def live(_: Request) -> OrjsonResponse:
        return OrjsonResponse({"status": "live", "service": service, "version": version})

    async def ready(_: Request) -> OrjsonResponse:
        results = await asyncio.gather(*(_run(check, check.timeout or seconds) for check in checks))
        parts = {check.name: result for check, result in zip(checks, results, strict=True)}
        if all(part["ok"] for part in parts.values()):
            return OrjsonResponse({"status": "ready", "service": service, "checks": parts})
        body = {"status": "not ready", "service": service, "checks": parts}
        return OrjsonResponse(body, 503, {"Retry-After": "2"})

    return [Route("/health/live", live), Route("/health/ready", ready)]


async def _run(check: Check, seconds: float) -> dict[str, Any]:
    start = perf_counter()
    try:
        async with asyncio.timeout(seconds):
            await check.probe()
    except TimeoutError:
        return {"ok": False, "error": f"The {check.name} did not answer within {seconds:g} s."}
    except FlexmeshError as error:
        return {"ok": False, "error": error.message}
    except Exception as error:
        log.warning("a readiness check failed", check=check.name, exc_info=error)
        return {"ok": False, "error": f"The {check.name} does not work: {logs.mask_text(str(error))}"}
    return {"ok": True, "ms": round((perf_counter() - start) * 1000, 1)}
