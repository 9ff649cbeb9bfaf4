"""Pages without outside resources: the landing page, and the form to choose a password."""

from html import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a2b3c; }
h1, h2 { line-height: 1.2; } code { font-family: ui-monospace, monospace; }
"""


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
    """Return the form that a mailed link opens."""
    said = f'<p role="alert"><strong>{escape(problem)}</strong></p>' if problem else ""
    form = f"""<form method="post" action="/password">
        <input type="hidden" name="token" value="{escape(token)}">
        <p><label>New password<br>
          <input type="password" name="password" minlength="{shortest}" maxlength="1000" required
                 autocomplete="new-password">
        </label></p>
        <p><button>Choose it</button></p></form>"""
    return page("Choose your password", f"<h1>Choose your password</h1>{said}{form if token else ''}")
