"""Run the gateway: `python -m api_gateway`."""

import sys

from flexserve import server, tokens
from flexserve.app import start_logs
from flexserve.settings import load
from flexserve.siblings import Sibling

from api_gateway.app import SERVICE, create_app
from api_gateway.settings import GatewaySettings


def main() -> int:
    settings = load(GatewaySettings)
    start_logs(settings, SERVICE)
    ingest = Sibling("ingest", settings.ingest_url, tokens.required(settings), timeout=settings.sibling_timeout)
    return server.serve(create_app(settings, ingest=ingest), settings)


if __name__ == "__main__":
    sys.exit(main())
