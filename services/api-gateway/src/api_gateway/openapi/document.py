"""The OpenAPI document: FastAPI's own, with permissions, every error, examples and links."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

from api_gateway.auth.access import Public, Requirement
from api_gateway.auth.several import OnSensors
from api_gateway.openapi import descriptions
from api_gateway.webhooks.openapi import webhook_operations

METHODS = ("get", "post", "put", "patch", "delete")
SCHEMAS = "#/components/schemas/"


def document(app: FastAPI) -> None:
    """Complete the OpenAPI document of the application."""
    describe = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = completed(describe(), routes_of(app))
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]


def completed(document: dict[str, Any], routes: dict[tuple[str, str], RouteContext]) -> dict[str, Any]:
    """Return FastAPI's document with everything that it does not know of the routes."""
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
    publish_names(document, schemas)
    schemas |= {"Error": descriptions.ERROR, "Problem": descriptions.PROBLEM}
    components["securitySchemes"] = descriptions.SECURITY
    add_examples(document, schemas)
    add_links(document)
    document["webhooks"] = webhook_operations()
    drop_unused(document, schemas)
    document["info"] |= descriptions.INFO
    used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}
    document["tags"] = [{"name": name, "description": text} for name, text in descriptions.TAGS.items() if name in used]
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield every operation with its path and method."""
    for path, methods in document["paths"].items():
        yield from ((path, method, methods[method]) for method in METHODS if method in methods)


def routes_of(app: FastAPI) -> dict[tuple[str, str], RouteContext]:
    """Return the routes of the application, including those of included routers, by path and method."""
    return {
        (context.path_format or "", method.lower()): context
        for context in iter_route_contexts(app.routes)
        if isinstance(context.original_route, APIRoute)
        for method in context.methods or ()
    }


def requirements(dependant: Dependant) -> list[Requirement]:
    """Return the permission requirements of a route."""
    inner = [one for dependency in dependant.dependencies for one in requirements(dependency)]
    return [dependant.call, *inner] if isinstance(dependant.call, Requirement) else inner


def hoist(node: object, schemas: dict[str, Any]) -> None:
    """Move the definitions inside a schema to the components of the document."""
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
    """Move the schemas of bodies that a route passes on unparsed to the components, under their titles."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        title = content["schema"].get("title")
        if title is not None:
            schemas[title] = content["schema"]
            content["schema"] = {"$ref": SCHEMAS + title}


def publish_names(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Give schemas the names that clients know, where those of their classes differ."""
    for name in list(schemas):
        prefix, separator, rest = name.partition("_")
        published = descriptions.PUBLISHED_NAMES.get(prefix)
        if published is not None:
            schema = schemas.pop(name)
            if "title" in schema:
                schema["title"] = schema["title"].replace(prefix, published, 1)
            schemas[published + separator + rest] = schema
    rename_references(document)


def rename_references(node: object) -> None:
    """Rename references to schemas that have another published name."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            prefix, separator, rest = node["$ref"].removeprefix(SCHEMAS).partition("_")
            node["$ref"] = SCHEMAS + descriptions.PUBLISHED_NAMES.get(prefix, prefix) + separator + rest
        for value in node.values():
            rename_references(value)
    elif isinstance(node, list):
        for item in node:
            rename_references(item)


def drop_unused(document: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Drop schemas that nothing refers to, for which client generators would generate code."""
    used: set[str] = set()
    found = names_in({key: part for key, part in document.items() if key != "components"})
    while found:
        used |= found
        found = names_in([schemas[name] for name in found]) - used
    for name in schemas.keys() - used:
        del schemas[name]


def names_in(node: object) -> set[str]:
    """Return the names of the schemas that a part of the document refers to."""
    if isinstance(node, list):
        return {name for item in node for name in names_in(item)}
    if not isinstance(node, dict):
        return set()
    reference = node.get("$ref")
    own = {reference.removeprefix(SCHEMAS)} if isinstance(reference, str) else set()
    return own | names_in(list(node.values()))


def add_permission(operation: dict[str, Any], route: RouteContext) -> None:
    """Add the ways to log in, unless the operation is public. The permissions are in the policy."""
    public = any(isinstance(one, Public) for one in requirements(route.dependant))
    operation["security"] = [] if public else [{name: []} for name in descriptions.SECURITY]


def add_idempotency(method: str, operation: dict[str, Any]) -> None:
    """Add the header `Idempotency-Key` to every POST that needs a login."""
    if method == "post" and operation["security"]:
        operation.setdefault("parameters", []).append(descriptions.IDEMPOTENCY_KEY)


def add_errors(path: str, operation: dict[str, Any], possible: set[str]) -> None:
    """Describe every error that the operation can return."""
    kind, schema = ("problem+json", "Problem") if path.startswith("/api/v1/") else ("json", "Error")
    content = {f"application/{kind}": {"schema": {"$ref": SCHEMAS + schema}}}
    responses = operation["responses"]
    if "content" in responses.get("422", {}) and "ValidationError" in str(responses["422"]):
        del responses["422"]
    for status in possible | responses.keys():
        known = responses.setdefault(status, {})
        if status in descriptions.ERRORS:
            known["description"] = known.get("description") or descriptions.ERRORS[status]
            if "content" not in known:
                known["content"] = content
            elif status == "422":
                # A failed computation has a response of its own; an invalid request has the one of all operations.
                own = known["content"]["application/json"]["schema"]
                known["content"]["application/json"] = {"schema": {"anyOf": [own, {"$ref": SCHEMAS + schema}]}}
            known |= {"headers": descriptions.HEADERS[status]} if status in descriptions.HEADERS else {}
    operation["responses"] = dict(sorted(responses.items()))


def possible_errors(path: str, method: str, operation: dict[str, Any], route: RouteContext) -> set[str]:
    """Return the statuses of errors that the operation can return, besides those that its route names."""
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
    """Add an example to every body, from the examples of its schema."""
    for _path, _method, operation in operations(document):
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in body.get("content", {}).values():
                schema = content.get("schema", {})
                if "example" not in content and "examples" not in content:
                    example = example_of(schema, schemas)
                    content |= {} if example is None else {"example": with_nulls(example, schema, schemas)}


def example_of(schema: dict[str, Any], schemas: dict[str, Any]) -> object:
    """Return the example of a schema, composed of those of its parts if it has none itself."""
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


def with_nulls(example: object, schema: dict[str, Any], schemas: dict[str, Any]) -> object:
    """Return the example with the nulls that FastAPI leaves out: those of required, nullable fields."""
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
    """Link each operation that creates something to the operations that use it."""
    by_id = {operation["operationId"]: (path, operation) for path, _method, operation in operations(document)}
    for creator, (status, parameters, prefix) in descriptions.CREATORS.items():
        _path, operation = by_id[creator]
        operation["responses"][status]["links"] = {
            name: {"operationId": name, "parameters": parameters}
            for name, (other, _operation) in by_id.items()
            if other.startswith(prefix)
        }
