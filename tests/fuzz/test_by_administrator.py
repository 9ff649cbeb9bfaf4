"""Every operation, asked all that its description allows and some of what it does not, one by one and in sequence.

More of it: `FLEXMESH_FUZZ_EXAMPLES=500 pytest tests/fuzz`. Something else: `FLEXMESH_FUZZ_SEED=7 pytest tests/fuzz`.
"""

import os
from collections.abc import Callable

import requests
from asker import Asker

SEED = int(os.environ.get("FLEXMESH_FUZZ_SEED", "1"))
EXAMPLES = int(os.environ.get("FLEXMESH_FUZZ_EXAMPLES", "3"))
DEEP = ["trigger_sensor_schedule", "trigger_asset_schedule", "optimize"]
"""Going systematically through every field of their configurations takes thousands of requests each."""
HARD_TO_PLEASE = {
    "POST /api/v3_0/sensors/{id}/data/upload": "needs a file with the right columns",
    "POST /api/v1/data/upload": "needs a file with the right columns",
    "GET /api/v1/data/upload/{job}": "needs an upload that takes long",
    "GET /api/v1/optimize/{job}": "needs a problem that takes long",
    "POST /api/v1/webhooks/{id}/deliveries/{delivery}/redeliver": "needs a message that was delivered",
}
"""Operations that made-up requests cannot succeed with; other tests do."""


def test_operations(new_asker: Callable[[str], Asker]) -> None:
    asker = new_asker("admin")
    document = requests.get(f"{asker.address}/openapi.json").json()
    asker.ask(
        document,
        seed=SEED,
        generation={"max-examples": EXAMPLES},
        phases={"stateful": {"generation": {"max-examples": EXAMPLES * 10}, "max-steps": 10}},
        operations=[{"include-operation-id": DEEP, "phases": {"coverage": {"enabled": False}}}],
    )
    assert not asker.wrong, "\n\n".join(asker.wrong[:10])
    assert asker.answers.total() > 4000
    refused = asker.never_answered_well() - HARD_TO_PLEASE.keys()
    assert len(refused) < 5, refused
