"""All services of a platform in one process: the same applications as elsewhere, with other settings."""

import asyncio
import socket
import sys
from contextlib import AsyncExitStack

import uvicorn
from api_gateway.app import create_app as create_gateway
from api_gateway.settings import GatewaySettings
from flexmodel.errors import FlexmeshError
from flexserve import server, service_token
from flexserve.service_client import ServiceClient
from flexserve.settings import ServiceSettings, load
from flexstore.store import Store
from ingest.app import create_app as create_ingest
from ingest.connectors import connector_metrics
from ingest.connectors import worker as connectors
from ingest.files import worker as uploads
from ingest.settings import IngestSettings
from reporting.app import create_app as create_reporting
from reporting.settings import ReportingSettings
from scheduler import worker as schedules
from scheduler.app import create_app as create_scheduler
from scheduler.settings import SchedulerSettings

from flexmesh import toy_account, toy_schedule
from flexmesh.progress import Steps
from flexmesh.stop_signals import StopRequest


async def run(
    url: str, address: str, listening: socket.socket, steps: Steps, stop: StopRequest, *, with_toy: bool
) -> None:
    """Serve at the address until SIGTERM or Ctrl-C, with the database at the URL."""
    own = {"public_url": address, "service_token": service_token.generate_token()}
    settings = load(GatewaySettings, database_url=url, **own)
    if stop.requested:
        return
    async with AsyncExitStack() as stack:
        with steps.step("Services", "gateway, ingest, connectors, scheduler, reporting"):
            store = await Store.connect(settings.database_url, application="flexmesh")
            stack.push_async_callback(store.close)
            stack.enter_context(schedules.running_in_threads(load(SchedulerSettings, **shared_settings(settings))))
            stack.enter_context(uploads.running_in_threads(load(IngestSettings, **shared_settings(settings))))
            stack.enter_context(connectors.running_in_threads(load(IngestSettings, **shared_settings(settings))))
            stack.enter_context(connector_metrics.publish_connector_metrics(store))
            backs = {
                "ingest": create_ingest(load(IngestSettings, **shared_settings(settings)), store),
                "scheduler": create_scheduler(load(SchedulerSettings, **shared_settings(settings))),
            }
            token, timeout = service_token.required_token(settings), settings.sibling_timeout
            ingest, scheduler = (ServiceClient(name, back, token, timeout=timeout) for name, back in backs.items())
            reporting = create_reporting(
                load(ReportingSettings, mail_to_stderr=True, **shared_settings(settings)), store
            )
            await stack.enter_async_context(reporting.router.lifespan_context(reporting))
            gateway = create_gateway(settings, ingest=ingest, scheduler=scheduler, store=store)
            web = server.http_server(gateway, settings)
            serving = await start_serving(web, listening)
        web.should_exit = web.should_exit or stop.requested  # from here on the web server handles the signals
        tell = asyncio.create_task(print_introduction(store, settings.public_url, steps, with_toy=with_toy))
        await serving
        tell.cancel()
        steps.say("Stopping ...")


def shared_settings(settings: ServiceSettings) -> dict[str, object]:
    """Return the settings that all services of the process share. Each loads the others from the environment."""
    return {name: getattr(settings, name) for name in ("database_url", "broker_url", "service_token")}


async def start_serving(web: uvicorn.Server, listening: socket.socket) -> "asyncio.Task[None]":
    """Serve in the background. From now on SIGTERM and Ctrl-C end the serving."""
    serving = asyncio.create_task(web.serve(sockets=[listening]))
    while not web.started and not serving.done():  # noqa: ASYNC110 (uvicorn has no event for it)
        await asyncio.sleep(0.002)
    return serving


async def print_introduction(store: Store, url: str, steps: Steps, *, with_toy: bool) -> None:
    """Print the toy schedule if requested, and then the address of the platform."""
    try:
        if with_toy:
            await toy_schedule.show_schedule(store, url, steps)
    except FlexmeshError as error:
        print(error.message, file=sys.stderr)
    steps.say()
    steps.say(f"  Flexmesh runs at [bold]{url}[/bold] (started in {steps.seconds:.1f} s)")
    if with_toy:
        steps.say(f"  Log in as {toy_account.EMAIL} with password {toy_account.PASSWORD}")
    steps.say("  Ctrl-C stops it; the data stays.")
