"""The reference of the API as a page that needs nothing from elsewhere: every operation of the OpenAPI document."""

import json
from html import escape
from typing import Any

from api_gateway.home.pages import page
from api_gateway.openapi.document import SCHEMAS, operations


def reference(document: dict[str, Any]) -> str:
    """Every operation, under what it is about."""
    info, groups = document["info"], {tag["name"]: (tag["description"], "") for tag in document["tags"]}
    for path, method, operation in operations(document):
        description, entries = groups[operation["tags"][0]]
        groups[operation["tags"][0]] = (description, entries + entry(method, path, operation, document))
    ways = "".join(row(f"<b>{escape(name)}</b>", escape(way["description"])) for name, way in security(document))
    contents = ", ".join(f'<a href="#{anchor(name)}">{escape(name)}</a>' for name in groups)
    body = "".join(
        f'<h2 id="{anchor(name)}">{escape(name)}</h2><p>{escape(description)}</p>{entries}'
        for name, (description, entries) in groups.items()
    )
    return page(
        f"{info['title']}: the API",
        f"<h1>{escape(info['title'])}: the API</h1><p>Version {escape(info['version'])}. "
        f'<a href="/openapi.json">As OpenAPI document</a>.</p><p>{marked(info["description"])}</p>'
        f"<details><summary>Ways to log in</summary>{table(ways)}</details><p>{contents}</p>{body}",
    )


def security(document: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(document["components"]["securitySchemes"].items())


def entry(method: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    """One operation: what it takes, and what it answers."""
    who = "" if operation["security"] else " For everybody."
    parameters = "".join(parameter(one) for one in operation.get("parameters", []))
    answers = "".join(answer(status, one) for status, one in operation["responses"].items())
    return (
        f'<details id="{operation["operationId"]}"><summary><b>{method.upper()}</b>{escape(path)} '
        f"<i>{escape(operation.get('summary', ''))}</i></summary><p><code>{operation['operationId']}</code>{who}</p>"
        f"{table(parameters)}{sent(operation, document)}{table(answers)}</details>"
    )


def parameter(one: dict[str, Any]) -> str:
    needed = "required" if one.get("required") else ""
    schema = one.get("schema", {})
    text = one.get("description") or schema.get("description", "")
    return row(f"<code>{escape(one['name'])}</code>", f"{one['in']} {kind(schema)}", needed, escape(text))


def sent(operation: dict[str, Any], document: dict[str, Any]) -> str:
    """The body: its fields, and an example."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content.get("schema", {})
        schema = document["components"]["schemas"].get(schema.get("$ref", "").removeprefix(SCHEMAS), schema)
        fields = "".join(
            row(
                f"<code>{escape(name)}</code>",
                f"body {kind(field)}",
                "required" if name in schema.get("required", ()) else "",
                escape(field.get("description", "")),
            )
            for name, field in schema.get("properties", {}).items()
        )
        return f"<p>Body, as {escape(media_type)}:</p>{table(fields)}{shown(content)}"
    return ""


def answer(status: str, one: dict[str, Any]) -> str:
    examples = "".join(shown(content) for content in one.get("content", {}).values()) if status < "400" else ""
    return row(f"<code>{status}</code>", f"{escape(one.get('description', ''))}{examples}")


def shown(content: dict[str, Any]) -> str:
    """The example of a body."""
    if "example" not in content:
        return ""
    example = content["example"]
    text = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
    return f"<pre>{escape(text)}</pre>"


def kind(schema: dict[str, Any]) -> str:
    """What sort of value it is, in a few words."""
    if "$ref" in schema:
        return escape(schema["$ref"].removeprefix(SCHEMAS))
    choices = [part for part in schema.get("anyOf", ()) if part.get("type") != "null"]
    if choices:
        return " or ".join(dict.fromkeys(kind(part) for part in choices))
    return escape(
        ", ".join(map(str, schema["enum"])) if "enum" in schema else schema.get("format", schema.get("type", ""))
    )


def row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def table(rows: str) -> str:
    return f"<table>{rows}</table>" if rows else ""


def anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def marked(text: str) -> str:
    """Text with its `code` marked as such."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
