"""Documentation: the reference equals the commands, and the code of the pages runs as written."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from commands import Up

ROOT = Path(__file__).parents[3]
TUTORIAL = ROOT / "docs" / "tutorials" / "first-schedule.md"
HOW_TO = ROOT / "docs" / "how-to"


def test_the_reference_is_that_of_the_commands() -> None:
    generate = [sys.executable, "-m", "typer", "flexmesh.cli", "utils", "docs"]
    names = ["--name", "flexmesh", "--title", "The flexmesh command"]
    done = subprocess.run([*generate, *names], capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "reference" / "cli.md").read_text().strip() == done.stdout.strip(), "Run: make docs"


def blocks(language: str, page: Path = TUTORIAL) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_the_python_of_the_tutorial(toy_platform: Up, tmp_path: Path) -> None:
    (script,) = blocks("python")
    here = script.replace("localhost:5000", f"localhost:{toy_platform.port}")
    done = subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "-4.655136" in done.stdout, done.stderr


def test_the_commands_of_the_tutorial(toy_platform: Up, environment: Callable[[Path], dict[str, str]]) -> None:
    (commands,) = (block for block in blocks("sh") if "flexmesh add schedule" in block)
    (tomorrow,) = (line for block in blocks("sh") for line in block.splitlines() if line.startswith("TOMORROW="))
    script = f"{tomorrow}\n{commands}".replace(".venv/bin/flexmesh", f"{sys.executable} -m flexmesh")
    done = subprocess.run(
        ["sh", "-ec", script], env=environment(toy_platform.home), capture_output=True, text=True, check=False
    )
    assert "New schedule is stored." in done.stdout, done.stderr
    assert "500 kW" in done.stdout


def token_for(platform: Up, login: str) -> str:
    url = f"http://127.0.0.1:{platform.port}/api/requestAuthToken"
    answer = httpx.post(url, content=login, headers={"Content-Type": "application/json"})
    return str(answer.json()["auth_token"])


def test_the_requests_of_the_tutorial(toy_platform: Up) -> None:
    """The bodies that the tutorial sends with curl, sent without it."""
    sent = re.findall(r"-d '(\{.*?\})'(?:\s|$)", "\n".join(blocks("sh")), flags=re.DOTALL)
    login, trigger = sent
    token = token_for(toy_platform, login)
    body = trigger.replace("'$TOMORROW'", "2026-11-22")
    answer = httpx.post(
        f"http://127.0.0.1:{toy_platform.port}/api/v3_0/sensors/2/schedules/trigger",
        content=body,
        headers={"Content-Type": "application/json", "Authorization": token},
    )
    assert answer.status_code == 202, answer.text
    assert answer.json()["job"]


@pytest.fixture
def typed(toy_platform: Up, tmp_path: Path) -> Callable[[str], str]:
    """Runner of shell commands that returns their output. The shell knows $TOKEN."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl, as who follows these pages does")
    login = re.findall(r"-d '(\{.*?\})'", blocks("sh", HOW_TO / "log-in-and-keys.md")[0])[0]
    token = token_for(toy_platform, login)

    def run(commands: str) -> str:
        here = f"TOKEN={token}\n{commands}".replace("localhost:5000", f"localhost:{toy_platform.port}")
        done = subprocess.run(["sh", "-ec", here], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_requests_about_data_answer_what_the_page_says(typed: Callable[[str], str]) -> None:
    for commands in blocks("sh", HOW_TO / "post-and-read-data.md"):
        printed = typed(commands)
        for answer in re.findall(r"^# (\{.*\})$", commands, flags=re.MULTILINE):
            assert answer in printed


def test_a_schedule_is_asked_for_as_the_page_says(typed: Callable[[str], str]) -> None:
    (ask,) = blocks("sh", HOW_TO / "ask-for-schedules.md")
    (answer,) = re.findall(r"^# (\{.*\})$", ask, flags=re.MULTILINE)
    told = json.loads(typed(ask))
    assert json.dumps(told, separators=(",", ":")).replace(told["job"], "…") == answer


def test_the_file_of_the_page_on_uploads_is_taken(typed: Callable[[str], str], tmp_path: Path) -> None:
    page = HOW_TO / "upload-files.md"
    (upload,) = blocks("sh", page)
    (file,) = re.findall(r"```\n(event_start,event_value\n.*?)```", page.read_text(), flags=re.DOTALL)
    (tmp_path / "meter.csv").write_text(file)
    assert json.loads(typed(upload))["rows"] == 2


def test_the_webhook_of_the_page_on_events_can_be_made(typed: Callable[[str], str]) -> None:
    (make,) = (block for block in blocks("sh", HOW_TO / "events-and-webhooks.md") if "/webhooks" in block)
    assert json.loads(typed(make))["secret"].startswith("whsec_")
