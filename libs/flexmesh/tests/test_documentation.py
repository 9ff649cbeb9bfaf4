"""The documentation says what is so: the reference of the commands, and the tutorial, run word for word."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from flexmesh import reference

ROOT = Path(__file__).parents[3]
TUTORIAL = ROOT / "docs" / "tutorials" / "first-schedule.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_reference_is_that_of_the_commands() -> None:
    written = (ROOT / "docs" / "reference" / "cli.md").read_text()
    assert written == reference.page(), "Run: .venv/bin/python -m flexmesh.reference > docs/reference/cli.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TUTORIAL.read_text(), flags=re.DOTALL)


def test_the_python_of_the_tutorial(toy_platform: Any, tmp_path: Path) -> None:
    (script,) = blocks("python")
    here = script.replace("localhost:5000", f"localhost:{toy_platform.port}")
    done = subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "-4.655136" in done.stdout, done.stderr


def test_the_commands_of_the_tutorial(toy_platform: Any, environment: Any) -> None:
    (commands,) = (block for block in blocks("sh") if "flexmesh add schedule" in block)
    (tomorrow,) = (line for block in blocks("sh") for line in block.splitlines() if line.startswith("TOMORROW="))
    script = f"{tomorrow}\n{commands}".replace(".venv/bin/flexmesh", f"{sys.executable} -m flexmesh")
    done = subprocess.run(
        ["sh", "-ec", script], env=environment(toy_platform.home), capture_output=True, text=True, check=False
    )
    assert "New schedule is stored." in done.stdout, done.stderr
    assert "500 kW" in done.stdout


def test_the_requests_of_the_tutorial(toy_platform: Any) -> None:
    """The bodies that the tutorial sends with curl, sent without it."""
    sent = re.findall(r"-d '(\{.*?\})'(?:\s|$)", "\n".join(blocks("sh")), flags=re.DOTALL)
    login, trigger = sent
    url = f"http://127.0.0.1:{toy_platform.port}"
    json_header = {"Content-Type": "application/json"}
    token = httpx.post(f"{url}/api/requestAuthToken", content=login, headers=json_header).json()["auth_token"]
    body = trigger.replace("'$TOMORROW'", "2026-11-22")
    answer = httpx.post(
        f"{url}/api/v3_0/sensors/2/schedules/trigger", content=body, headers={**json_header, "Authorization": token}
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["job"]
