"""Run the reporting service: `python -m reporting`."""

import sys

from flexserve import server
from flexserve.app import start_logs
from flexserve.settings import load

from reporting.app import SERVICE, create_app
from reporting.settings import ReportingSettings


def main() -> int:
    settings = load(ReportingSettings)
    start_logs(settings, SERVICE)
    return server.serve(create_app(settings), settings)


if __name__ == "__main__":
    sys.exit(main())
