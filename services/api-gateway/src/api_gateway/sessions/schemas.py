"""What a browser is told about who is logged in."""

from typing import Any

SHOWN: dict[str, Any] = {
    "user": {
        "id": 1,
        "username": "toy-user",
        "email": "toy-user@flexmeasures.io",
        "account": 1,
        "roles": ["account-admin"],
    },
    "kind": "session",
    "scopes": [],
    "only_account": None,
    "csrf_token": "Yn3Rk0bO1rNcG1s8Ta0eYI8Q2m2XhVtq2xR6Bc0X5mE",
}
