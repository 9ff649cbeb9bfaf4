"""A platform to fuzz, and callers of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from asker import Asker
from platforms import Platform, base_environment, free_port
from waiting import eventually


@pytest.fixture
def platform_to_ask(database_url: str, tmp_path: Path) -> Iterator[Platform]:
    """All services in one process, without limits on how often one may ask."""
    limits = ("TRIGGERS_PER_MINUTE", "FAILED_LOGINS_PER_USER", "FAILED_LOGINS_PER_ADDRESS", "RESET_MAILS_PER_HOUR")
    environment = base_environment(tmp_path) | {f"FLEXMESH_{name}": "0" for name in limits}
    environment |= {"FLEXMESH_FORECASTS": "true", "FLEXMESH_KEYS_PER_ACCOUNT": "1000000"}
    environment |= {"FLEXMESH_DATABASE_URL": database_url}
    platform = Platform(tmp_path, environment, free_port())
    platform.start("up", "up", "--toy", "--port", str(platform.port))
    try:
        platform.until_ready("up", platform.port, 60)
        eventually(lambda: "Log in as" in platform.log("up"), "the toy account being there", 60)
        yield platform
        assert "unexpected error" not in platform.log("up")
    finally:
        platform.stop()


@pytest.fixture
def new_asker(platform_to_ask: Platform, database_url: str) -> Callable[[str], Asker]:
    """A function that returns a caller with the given role."""
    return lambda role: Asker(platform_to_ask.url, database_url, role)
