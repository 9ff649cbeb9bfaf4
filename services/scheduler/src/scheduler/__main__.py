"""Run the scheduler: `python -m scheduler worker` takes jobs from the broker, `… serve` answers HTTP."""

import sys
from argparse import ArgumentParser

from flexserve import server
from flexserve.app import start_logs
from flexserve.settings import load

from scheduler import worker
from scheduler.app import SERVICE, create_app
from scheduler.settings import SchedulerSettings


def main() -> int:
    parser = ArgumentParser(prog="python -m scheduler", description="The scheduler of Flexmesh.")
    parser.add_argument(
        "role", choices=("worker", "serve"), help="worker: take jobs from the broker. serve: answer HTTP."
    )
    role = parser.parse_args().role
    settings = load(SchedulerSettings)
    start_logs(settings, SERVICE)
    return worker.run(settings) if role == "worker" else server.serve(create_app(settings), settings)


if __name__ == "__main__":
    sys.exit(main())
