"""Run the gateway: `python -m api_gateway`."""

import sys

from flexserve import server, service_token
from flexserve.app import start_logs
from flexserve.service_client import ServiceClient
from flexserve.settings import load

from api_gateway.app import SERVICE, create_app
from api_gateway.settings import GatewaySettings


def main() -> int:
    settings = load(GatewaySettings)
    start_logs(settings, SERVICE)
    token, timeout = service_token.required_token(settings), settings.sibling_timeout
    ingest = ServiceClient("ingest", settings.ingest_url, token, timeout=timeout)
    scheduler = ServiceClient("scheduler", settings.scheduler_url, token, timeout=timeout)
    return server.serve(create_app(settings, ingest=ingest, scheduler=scheduler), settings)


if __name__ == "__main__":
    sys.exit(main())
