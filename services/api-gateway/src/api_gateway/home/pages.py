"""Two pages that need nothing from elsewhere: the landing page, and the reference of the API."""

from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a2b3c; }
h1, h2 { line-height: 1.2; } code, summary { font-family: ui-monospace, monospace; }
details { border-top: 1px solid #d5dde5; padding: .5rem 0; } summary { cursor: pointer; }
b { display: inline-block; width: 4.5rem; } table { border-collapse: collapse; } td { padding: .1rem 1rem .1rem 0; }
"""
METHODS = ("get", "post", "put", "patch", "delete")


def page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>{body}</body></html>"
    )


def home(address: str) -> str:
    return page(
        "Flexmesh",
        f"""<h1>Flexmesh</h1>
        <p>When should each flexible asset run? This is a Flexmesh platform, at <code>{escape(address)}</code>.</p>
        <ul>
          <li><a href="/docs">The API</a>, also as <a href="/openapi.json">OpenAPI document</a></li>
          <li><a href="/health/ready">Is everything working?</a></li>
        </ul>
        <p>Log in with <code>POST /api/requestAuthToken</code> and send the token in the header
        <code>Authorization</code>. Every client of FlexMeasures works here unchanged.</p>""",
    )


def choose_password(token: str, shortest: int, problem: str = "") -> str:
    """The form behind a mailed link."""
    said = f'<p role="alert"><strong>{escape(problem)}</strong></p>' if problem else ""
    form = f"""<form method="post" action="/password">
        <input type="hidden" name="token" value="{escape(token)}">
        <p><label>New password<br>
          <input type="password" name="password" minlength="{shortest}" maxlength="1000" required
                 autocomplete="new-password">
        </label></p>
        <p><button>Choose it</button></p></form>"""
    return page("Choose your password", f"<h1>Choose your password</h1>{said}{form if token else ''}")


def reference(document: dict[str, Any]) -> str:
    """Every operation of an OpenAPI document, with its parameters and answers."""
    groups: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                operation = operations[method]
                groups.setdefault(operation.get("tags", ["Other"])[0], []).append(entry(method, path, operation))
    body = "".join(f"<h2>{escape(name)}</h2>{''.join(entries)}" for name, entries in sorted(groups.items()))
    intro = f'<p>Version {escape(document["info"]["version"])}. <a href="/openapi.json">As OpenAPI document</a>.</p>'
    return page(f"{document['info']['title']}: the API", f"<h1>{escape(document['info']['title'])}</h1>{intro}{body}")


def entry(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{'required' if one.get('required') else ''}</td><td>{escape(one.get('description', ''))}</td></tr>"
        for one in operation.get("parameters", [])
    ]
    fields = body_fields(operation)
    rows += [f"<tr><td><code>{escape(name)}</code></td><td>body</td><td></td><td></td></tr>" for name in fields]
    answers = ", ".join(operation.get("responses", {}))
    return (
        f"<details><summary><b>{method.upper()}</b>{escape(path)}</summary>"
        f"<p>{escape(operation.get('summary', ''))}</p><table>{''.join(rows)}</table>"
        f"<p>Answers: {escape(answers)}</p></details>"
    )


def body_fields(operation: dict[str, Any]) -> list[str]:
    """The body's fields if it is described here, else the name of its description."""
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] = next(iter(content.values()), {"schema": {}})["schema"]
    if "$ref" in schema:
        return [schema["$ref"].rsplit("/", 1)[-1]]
    return list(schema.get("properties", {}))
