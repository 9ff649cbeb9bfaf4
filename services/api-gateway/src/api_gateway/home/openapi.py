"""The OpenAPI document: what FastAPI knows of the routes, with permissions, every error, examples and links."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api_gateway.auth.access import Public, Requirement
from api_gateway.auth.several import OnSensors
from api_gateway.home import described
from api_gateway.webhooks import described as webhooks

METHODS = ("get", "post", "put", "patch", "delete")
SCHEMAS = "#/components/schemas/"


def document(app: FastAPI) -> None:
    """Make the application describe itself in full."""
    describe = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(describe(), routes_of(app))
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def completed(document: dict[str, Any], routes: dict[tuple[str, str], Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for path, method, operation in operations(document):
        route = routes[path, method]
        operation["operationId"] = route.name
        hoist(operation, schemas)
        name_bodies(operation, schemas)
        add_permission(operation, route)
        add_idempotency(method, operation)
        add_errors(path, operation, possible_errors(path, method, operation, route))
    schemas |= {"Error": described.ERROR, "Problem": described.PROBLEM}
    components["securitySchemes"] = described.SECURITY
    add_examples(document, schemas)
    add_links(document)
    document["webhooks"] = webhooks.described()
    drop_unused(document, schemas)
    document["info"] |= described.INFO
    used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}
    document["tags"] = [{"name": name, "description": text} for name, text in described.TAGS.items() if name in used]
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation with its path and method."""
    for path, methods in document["paths"].items():
        yield from ((path, method, methods[method]) for method in METHODS if method in methods)


def routes_of(app: FastAPI) -> dict[tuple[str, str], Any]:
    """The routes as the application really has them, those of included routers too, by path and method."""
    found: dict[tuple[str, str], Any] = {}
    for route in app.routes:
        contexts = getattr(route, "effective_route_contexts", None)
        own = [route] if isinstance(route, APIRoute) else []
        for one in own if contexts is None else contexts():
            found |= {(one.path_format, method.lower()): one for method in one.methods or ()}
    return found


def requirements(dependant: Any) -> list[Requirement]:
    """What a route demands of its caller."""
    inner = [one for dependency in dependant.dependencies for one in requirements(dependency)]
    return [dependant.call, *inner] if isinstance(dependant.call, Requirement) else inner


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


def name_bodies(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Move the schemas of bodies that a route passes on unread there too, under their titles."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        title = content["schema"].get("title")
        if title is not None:
            schemas[title] = content["schema"]
            content["schema"] = {"$ref": SCHEMAS + title}


def drop_unused(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Drop schemas that nothing refers to: programs that write clients would make something of them."""
    used: set[str] = set()
    found = names_in({key: part for key, part in document.items() if key != "components"})
    while found:
        used |= found
        found = names_in([schemas[name] for name in found]) - used
    for name in schemas.keys() - used:
        del schemas[name]


def names_in(node: Any) -> set[str]:
    """The names of the schemas that a part of the document refers to."""
    if isinstance(node, list):
        return {name for item in node for name in names_in(item)}
    if not isinstance(node, dict):
        return set()
    reference = node.get("$ref")
    own = {reference.removeprefix(SCHEMAS)} if isinstance(reference, str) else set()
    return own | names_in(list(node.values()))


def add_permission(operation: dict[str, Any], route: Any) -> None:
    """Who is asked to log in, and how; on what, is in the policy."""
    public = any(isinstance(one, Public) for one in requirements(route.dependant))
    operation["security"] = [] if public else [{name: []} for name in described.SECURITY]


def add_idempotency(method: str, operation: dict[str, Any]) -> None:
    if method == "post" and operation["security"]:
        operation.setdefault("parameters", []).append(described.IDEMPOTENCY_KEY)


def add_errors(path: str, operation: dict[str, Any], possible: set[str]) -> None:
    """Describe every error that the operation can answer."""
    kind, schema = ("problem+json", "Problem") if path.startswith("/api/v1/") else ("json", "Error")
    content = {f"application/{kind}": {"schema": {"$ref": SCHEMAS + schema}}}
    responses = operation["responses"]
    if "content" in responses.get("422", {}) and "ValidationError" in str(responses["422"]):
        del responses["422"]
    for status in possible | responses.keys():
        known = responses.setdefault(status, {})
        if status in described.ERRORS:
            known["description"] = known.get("description") or described.ERRORS[status]
            if "content" not in known:
                known["content"] = content
            elif status == "422":
                # What failed to be computed has a shape of its own; what was asked wrongly is answered as everywhere.
                own = known["content"]["application/json"]["schema"]
                known["content"]["application/json"] = {"schema": {"anyOf": [own, {"$ref": SCHEMAS + schema}]}}
            known |= {"headers": described.HEADERS[status]} if status in described.HEADERS else {}
    operation["responses"] = dict(sorted(responses.items()))


def possible_errors(path: str, method: str, operation: dict[str, Any], route: Any) -> set[str]:
    """The errors that can happen here, besides those that the route itself names."""
    parameters = {one["name"] for one in operation.get("parameters", [])}
    many = any(isinstance(one, OnSensors) for one in requirements(route.dependant))
    found = {"503"}
    if operation["security"]:
        found |= {"401", "403", "429"}
    if "{" in path or "page" in parameters or many:
        found.add("404")
    if parameters or "requestBody" in operation:
        found.add("422")
    if "requestBody" in operation:
        found |= {"400", "408", "413", "415"}
    if method == "post" and operation["security"]:
        found |= {"408", "409", "413", "422"}
    return found


def add_examples(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Put an example beside every body, from the examples that its schema has."""
    for _path, _method, operation in operations(document):
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in body.get("content", {}).values():
                schema = content.get("schema", {})
                if "example" not in content and "examples" not in content:
                    example = example_of(schema, schemas)
                    content |= {} if example is None else {"example": with_nulls(example, schema, schemas)}


def example_of(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """The example of a schema, composed of those of its parts where it has none itself."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(SCHEMAS)], schemas)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for choices in (schema.get("anyOf"), schema.get("oneOf")):
        if choices:
            return example_of(choices[0], schemas)
    if schema.get("type") == "array":
        item = example_of(schema.get("items", {}), schemas)
        return None if item is None else [item]
    properties = {name: example_of(part, schemas) for name, part in schema.get("properties", {}).items()}
    incomplete = any(properties.get(name) is None for name in schema.get("required", ()))
    return None if incomplete else {name: value for name, value in properties.items() if value is not None} or None


def with_nulls(example: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """The example with the nulls that FastAPI left out of it: of every field that must be there and may be null."""
    if "$ref" in schema:
        return with_nulls(example, schemas[schema["$ref"].removeprefix(SCHEMAS)], schemas)
    for choice in schema.get("anyOf", ()):
        if ("items" in choice) == isinstance(example, list):
            return with_nulls(example, choice, schemas)
    if isinstance(example, list):
        return [with_nulls(item, schema.get("items", {}), schemas) for item in example]
    if not isinstance(example, dict):
        return example
    parts = schema.get("properties", {})
    nulls = dict.fromkeys(schema.get("required", ()))
    return nulls | {name: with_nulls(value, parts.get(name, {}), schemas) for name, value in example.items()}


def add_links(document: dict[str, Any]) -> None:
    """Tell which operations go on with what another one made."""
    by_id = {operation["operationId"]: (path, operation) for path, _method, operation in operations(document)}
    for maker, (status, parameters, prefix) in described.MAKERS.items():
        _path, operation = by_id[maker]
        operation["responses"][status]["links"] = {
            name: {"operationId": name, "parameters": parameters}
            for name, (other, _operation) in by_id.items()
            if other.startswith(prefix)
        }
