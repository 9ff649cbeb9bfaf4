"""A pretend Kubernetes cluster for every test of the chart."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helm_cluster import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    server = Cluster(tmp_path)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
