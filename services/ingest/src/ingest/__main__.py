"""Run the ingest service: `python -m ingest`."""

import sys

from flexserve import server
from flexserve.app import start_logs
from flexserve.settings import load

from ingest.app import SERVICE, create_app
from ingest.settings import IngestSettings


def main() -> int:
    settings = load(IngestSettings)
    start_logs(settings, SERVICE)
    return server.serve(create_app(settings), settings)


if __name__ == "__main__":
    sys.exit(main())
