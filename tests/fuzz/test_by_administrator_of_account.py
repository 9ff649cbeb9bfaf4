"""Random requests to every operation, by a user without all permissions."""

import os
from collections.abc import Callable

import requests
from asker import Asker

SEED = int(os.environ.get("FLEXMESH_FUZZ_SEED", "2"))
EXAMPLES = int(os.environ.get("FLEXMESH_FUZZ_EXAMPLES", "4"))


def test_operations(new_asker: Callable[[str], Asker]) -> None:
    asker = new_asker("account-admin")
    document = requests.get(f"{asker.address}/openapi.json").json()
    systematically = {"enabled": False}
    asker.ask(
        document,
        seed=SEED,
        generation={"max-examples": EXAMPLES},
        phases={"coverage": systematically, "stateful": systematically},
    )
    assert not asker.wrong, "\n\n".join(asker.wrong[:10])
    assert asker.answers.total() > 400
    refused = {operation for operation, status in asker.answers if status == 403}
    assert "POST /api/v3_0/accounts" in refused
