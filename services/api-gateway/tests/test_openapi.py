"""The OpenAPI document: validity, completeness, and correct security requirements."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # has no stubs
import pytest
import yaml
from api_gateway.openapi.document import SCHEMAS, operations
from gateway_house import House, JsonObject
from openapi_spec_validator import OpenAPIV31SpecValidator

PUBLIC = {
    "list_versions", "list_services", "get_readiness", "request_token", "log_in",
    "ask_for_password_link",
}  # fmt: skip
"""Operations without login."""
PUBLISHED = Path(__file__).with_name("openapi_names.txt")
ERRORS = {"400", "401", "403", "404", "408", "409", "413", "415", "422", "429", "503"}


@pytest.fixture
def document(house: House) -> JsonObject:
    return house.app.openapi()


def operations_of(document: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for path, method, operation in operations(document):
        yield f"{method.upper()} {path}", operation


def nodes(node: object) -> Iterator[JsonObject]:
    """Yield every object in the document, at any depth."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(inner)


def references(document: JsonObject) -> Iterator[str]:
    return (node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str))


def contents(operation: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    """Yield the bodies that the operation sends or receives: name, media type, and description."""
    bodies = {"request": operation.get("requestBody", {})} | operation["responses"]
    for name, body in bodies.items():
        for media_type, content in body.get("content", {}).items():
            yield name, media_type, content


def test_published_names_are_stable(document: JsonObject) -> None:
    """Client generators derive names from these. A renamed class keeps its published name in `PUBLISHED_NAMES`."""
    names = [f"operation {operation['operationId']}" for _, operation in operations_of(document)]
    names += [f"schema {name}" for name in document["components"]["schemas"]]
    assert sorted(names) == PUBLISHED.read_text().splitlines()


def test_the_document_is_valid(document: JsonObject) -> None:
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"].startswith("3.1")
    # Unlike the validator, check references at every place.
    schemas = document["components"]["schemas"]
    assert {reference.removeprefix(SCHEMAS) for reference in references(document)} <= schemas.keys()
    assert "$defs" not in str(document)


def test_what_is_read_elsewhere_is_described_too(document: JsonObject) -> None:
    data = document["paths"]["/api/v3_0/sensors/{id}/data"]["get"]
    assert {"start", "duration", "unit", "source-type"} <= {parameter["name"] for parameter in data["parameters"]}
    assert "soc-at-start" in document["components"]["schemas"]["FlexModelEntry"]["properties"]
    without = {
        name for name, one in operations_of(document) if name[:2] in ("PO", "PA", "PU") and "requestBody" not in one
    }
    assert without == {
        "POST /api/v3_0/assets/{id}/copy",
        "PATCH /api/v3_0/users/{id}/password-reset",
        "POST /api/v1/webhooks/{id}/test",
        "POST /api/v1/webhooks/{id}/deliveries/{delivery}/redeliver",
    }


def test_every_operation_can_be_told_apart_and_found(document: JsonObject) -> None:
    found = dict(operations_of(document))
    ids = [operation["operationId"] for operation in found.values()]
    assert len(set(ids)) == len(ids) > 60
    assert all(name.islower() and name.isidentifier() for name in ids)
    described = {tag["name"] for tag in document["tags"] if tag["description"]}
    assert {tag for operation in found.values() for tag in operation["tags"]} == described
    assert all(operation["summary"].endswith(".") for operation in found.values())


def test_every_operation_says_who_may(document: JsonObject) -> None:
    free = {operation["operationId"] for _, operation in operations_of(document) if not operation["security"]}
    assert free == PUBLIC
    for name, operation in operations_of(document):
        assert operation["security"] in ([], [{way: []} for way in document["components"]["securitySchemes"]]), name
        assert not operation["security"] or "401" in operation["responses"]


def test_every_error_is_described(document: JsonObject) -> None:
    for name, operation in operations_of(document):
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            if status in ERRORS:
                kind = "application/problem+json" if " /api/v1/" in name else "application/json"
                assert kind in response["content"] or status == "422", (name, status)
        if "requestBody" in operation:
            assert operation["responses"].keys() >= {"400", "413", "415", "422"}, name


def test_everything_has_an_example_that_fits(document: JsonObject) -> None:
    wrong = []
    for name, operation in operations_of(document):
        for body, media_type, content in contents(operation):
            if media_type == "multipart/form-data":
                continue
            examples = [one["value"] for one in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            if not examples:
                wrong.append(f"{name} {body} has none")
            schema = content.get("schema", {}) | {"components": document["components"]}
            for example in examples:
                problems = jsonschema.Draft202012Validator(schema).iter_errors(example)
                wrong += [f"{name} {body}: {problem.message}" for problem in problems]
    assert not wrong


async def test_the_documentation_needs_nothing_from_elsewhere(house: House) -> None:
    """The page, its styles and its programs come from this server, and so does the document that it shows."""
    guest = house.guest()
    page = (await guest.get("/docs")).text
    files = re.findall(r'<(?:script|link)[^>]*(?:src|href)="([^"]*)"', page)
    assert len(files) == 4
    for file in files:
        assert file.startswith("/docs/")
        answer = await guest.get(file)
        assert answer.status_code == 200
        assert file.endswith(".png") or not re.search(r"""(?:@import|url\()\s*["']?(?:https?:)?//""", answer.text)
    assert "/openapi.json" in (await guest.get("/docs/start.js")).text


def test_programs_can_write_clients(document: JsonObject) -> None:
    yaml.reader.Reader(
        json.dumps(document, ensure_ascii=False)
    )  # some clients parse it as YAML, which has fewer characters
    schemas = document["components"]["schemas"]
    assert {reference.removeprefix(SCHEMAS) for reference in references(document)} == schemas.keys()
    titles = [schema["title"] for schema in schemas.values() if "title" in schema]
    assert len(set(titles)) == len(titles), "classes are called by titles"
    assert not [node for node in nodes(document) if node.get("type") == "array" and "items" not in node]
    for name, operation in operations_of(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = content["schema"]
            assert "$ref" in schema or schema["type"] != "object" or name.endswith("/upload"), name
