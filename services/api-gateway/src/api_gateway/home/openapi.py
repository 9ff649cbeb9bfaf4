"""The OpenAPI document: what FastAPI knows of the routes, with our errors and the shapes of bodies passed on unread."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

ERRORS = {
    "400": "The request cannot be understood.",
    "401": "The token is missing, unknown, expired or revoked.",
    "403": "The caller may not do this.",
    "404": "There is no such thing.",
    "413": "The body is too large.",
    "415": "The body is not of the right kind.",
    "422": "Something in the request is wrong; the message names the fields.",
    "429": "Too many requests; Retry-After says when to try again.",
    "503": "A part is away for the moment; Retry-After says when to try again.",
}
ERROR = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "message": {"description": "A sentence, or sentences by field."},
        "errors": {"type": "array", "items": {"type": "string"}},
        "result": {"type": "string"},
        "status": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
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
}
METHODS = ("get", "post", "put", "patch", "delete")
TOKEN = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "The token from `POST /api/requestAuthToken`, bare or after `Bearer`.",
}


def document(app: FastAPI) -> None:
    """Make the application describe itself in full."""
    describe = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = describe()
            components = described.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            for path, operation in operations(described):
                hoist(operation, schemas)
                add_errors(path, operation)
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            schemas |= {"Error": ERROR, "Problem": PROBLEM}
            components["securitySchemes"] = {"Token": TOKEN}
            described["security"] = [{"Token": []}]
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation with its path."""
    for path, methods in described["paths"].items():
        yield from ((path, methods[method]) for method in METHODS if method in methods)


def hoist(node: Any, schemas: dict[str, Any]) -> None:
    """Move the definitions that a schema brings along to where the whole document finds them."""
    if isinstance(node, dict):
        for name, definition in node.pop("$defs", {}).items():
            hoist(definition, schemas)
            schemas[name] = definition
        for value in node.values():
            hoist(value, schemas)
    elif isinstance(node, list):
        for item in node:
            hoist(item, schemas)


def add_errors(path: str, operation: dict[str, Any]) -> None:
    kind, schema = ("problem+json", "Problem") if path.startswith("/api/v1/") else ("json", "Error")
    content = {f"application/{kind}": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    responses = operation["responses"]
    for status, description in ERRORS.items():
        known = responses.get(status, {})
        if status == "422" or "content" not in known:
            responses[status] = {"description": known.get("description") or description, "content": content}
