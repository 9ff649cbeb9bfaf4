"""Descriptions in the OpenAPI document beyond the routes: tags, errors, ways to log in, and links."""

from typing import Any

INFO = {
    "summary": "When should each flexible asset run?",
    "description": (
        "Below `/api/v3_0` this is the API of FlexMeasures: its clients work here unchanged. Below `/api/v1` is what "
        "that API lacks. Log in with `POST /api/requestAuthToken` and send the token in the header `Authorization`. "
        "Power is positive where electricity is consumed. Times have a time zone. What is wrong with a request is told "
        "by field: below `/api/v3_0` in `message`, below `/api/v1` in `fields` of a problem as in RFC 9457."
    ),
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
TAGS = {
    "Auth": "Log in and out.",
    "Assets": "Sites, batteries, chargers, market zones, and the trees they form.",
    "Sensors": "One series of values each, on an asset.",
    "Sensor data": "Post, upload, read and delete values; how many there are and how recent.",
    "Schedules": "Ask when flexible devices should run, read the answer, and why it is so.",
    "Forecasts": "Ask what values a sensor will have, and read the answer.",
    "Jobs": "What is being computed, and how it went.",
    "Events": "Listen to what happens, as it happens.",
    "Webhooks": "Have addresses of your own told of what happens.",
    "Optimize": "Solve a problem that brings everything along; nothing is stored.",
    "Charts": "Charts of assets as Vega-Lite, their data, annotations and figures.",
    "Annotations": "Remarks about an account, an asset or a sensor, over a period.",
    "Sources": "Who or what recorded values.",
    "Users": "People who may log in.",
    "Passwords": "Change a password, or get a link by mail to choose another.",
    "Tokens": "Where one is logged in, and how to log out there.",
    "API keys": "Tokens for machines, which may do less and live longer.",
    "Accounts": "Organisations, to whom users and assets belong.",
    "Audit log": "Who changed what, and when.",
    "Home": "What there is, in which version, and whether it works.",
}
ERRORS = {
    "400": "The request cannot be understood.",
    "401": "The token is missing, unknown, expired or revoked.",
    "403": "The caller may not do this.",
    "404": "There is no such thing.",
    "408": "The body took too long to arrive.",
    "409": "This cannot be done now, or not any more; the message says why.",
    "413": "The body is too large.",
    "415": "The body is not of the right kind.",
    "422": "Something in the request is wrong; the message names the fields.",
    "429": "Too many requests; Retry-After says when to try again.",
    "502": "A part answered something that makes no sense.",
    "503": "A part is away for the moment; Retry-After says when to try again.",
}
RETRY_AFTER = {"Retry-After": {"description": "Seconds until it may work.", "schema": {"type": "string"}}}
HEADERS: dict[str, dict[str, Any]] = {
    "401": {"WWW-Authenticate": {"description": "How to log in.", "schema": {"type": "string"}}},
    "429": RETRY_AFTER,
    "503": RETRY_AFTER,
}
ERROR = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "message": {
            "description": "A sentence, or sentences by field.",
            "anyOf": [{"type": "string"}, {"type": "object"}, {"type": "array", "items": {"type": "string"}}],
        },
        "errors": {"type": "array", "items": {"type": "string"}},
        "result": {"type": "string"},
        "status": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "examples": [
        {
            "message": {"json": {"name": ["Missing data for required field."]}},
            "result": "Rejected",
            "status": "UNPROCESSABLE_ENTITY",
        }
    ],
}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, in a sentence."},
        "instance": {"type": "string"},
        "fields": {"type": "object", "description": "Sentences by field, nested like the request."},
        "request_id": {"type": "string"},
    },
    "examples": [
        {
            "type": "about:blank",
            "title": "Unprocessable Content",
            "status": 422,
            "detail": "window.start: Missing data for required field.",
            "instance": "/api/v1/optimize",
            "fields": {"window": {"start": ["Missing data for required field."]}},
            "request_id": "20ec88470f48a626",
        }
    ],
}
SECURITY = {
    "Token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "The token from `POST /api/requestAuthToken`, as it is.",
    },
    "Bearer": {"type": "http", "scheme": "bearer", "description": "The same token after the word `Bearer`."},
    "Session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "flexmesh_session",
        "description": "The cookie of `POST /api/v1/session` (`__Host-flexmesh_session` over HTTPS). What changes "
        "something needs the header `X-CSRF-Token` as well, whose value `GET /api/v1/session` tells.",
    },
}
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "Carry out the request once, however often it is sent with this key, and answer alike for a day.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}

JOB = {"uuid": "$response.body#/job", "id": "$request.path.id"}
CREATORS: dict[str, tuple[str, dict[str, str], str]] = {
    "create_asset": ("201", {"id": "$response.body#/id"}, "/api/v3_0/assets/{id}"),
    "copy_asset": ("201", {"id": "$response.body#/asset"}, "/api/v3_0/assets/{id}"),
    "create_sensor": ("201", {"id": "$response.body#/id"}, "/api/v3_0/sensors/{id}"),
    "create_user": ("201", {"id": "$response.body#/id"}, "/api/v3_0/users/{id}"),
    "create_account": ("201", {"id": "$response.body#/id"}, "/api/v3_0/accounts/{id}"),
    "trigger_sensor_schedule": ("202", JOB, "/api/v3_0/sensors/{id}/schedules/{uuid}"),
    "trigger_asset_schedule": ("202", {"job": "$response.body#/job"}, "/api/v1/schedules/{job}"),
    "trigger_forecast": ("202", JOB, "/api/v3_0/sensors/{id}/forecasts/{uuid}"),
}
"""Operations that create something: the status, the places of its id in the response, and the path of its own."""

PUBLISHED_NAMES = {
    "ActivityType": "Type",
    "CommitmentEntry": "Commitment",
    "MessageResponse": "Said",
    "NamedCommitmentEntry": "NamedCommitment",
    "PageResponse": "Paged",
    "PendingResponse": "Waiting",
}
"""The names of schemas in the document by those of their classes, where they differ: client generators use them."""
