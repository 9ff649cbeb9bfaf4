"""The log has one line per event, with request and job ids and without secrets."""

import asyncio
import logging
from typing import Any

import pytest
from fixture_types import LogLines
from flexserve import logs


def test_a_line_has_what_happened_and_where(log_lines: LogLines) -> None:
    with logs.bound(request_id="r1", job_id="j1"):
        logs.get("here").info("started", count=3)
    logs.get("here").info("after")
    first, second = log_lines()
    assert first["event"] == "started" and first["count"] == 3 and first["level"] == "info"
    assert (first["service"], first["logger"], first["request_id"], first["job_id"]) == ("testing", "here", "r1", "j1")
    assert first["time"].endswith("Z")
    assert "request_id" not in second


def test_libraries_log_the_same_way(log_lines: LogLines) -> None:
    with logs.bound(request_id="r1"):
        logging.getLogger("uvicorn.error").warning("port %d", 5000)
    [line] = log_lines()
    assert (line["event"], line["logger"], line["level"], line["request_id"]) == (
        "port 5000",
        "uvicorn.error",
        "warning",
        "r1",
    )


def test_a_percent_sign_is_not_a_placeholder(log_lines: LogLines) -> None:
    logging.getLogger("x").warning("100%s full of %%d")
    assert log_lines()[0]["event"] == "100%s full of %%d"


def test_exceptions_come_with_their_traceback(log_lines: LogLines) -> None:
    try:
        raise ValueError("postgresql://me:hush@db/x is away")
    except ValueError:
        logs.get("x").exception("failed")
        logging.getLogger("y").exception("failed too")
    ours, theirs = log_lines()
    for line in (ours, theirs):
        assert "Traceback" in line["exception"] and "test_logs.py" in line["exception"]
        assert "hush" not in line["exception"]


@pytest.mark.parametrize(
    "event",
    [
        {"authorization": "hush"},
        {"password": "hush"},
        {"user_token": "hush"},
        {"headers": {"Authorization": "Bearer hush1234", "Cookie": "a=hush"}},
        {"urls": ["amqp://me:hush@mq:5672//", "postgresql://:hush@db/x"]},
        {"text": "got Authorization: Bearer hush.hush-1"},
        {"text": "password=hush&x=1"},
        {"text": '{"access_token": "hush"}'},
        {"nested": [{"deep": {"api_key": "hush"}}]},
    ],
)
def test_secrets_are_masked(event: dict[str, Any], log_lines: LogLines) -> None:
    logs.get("x").info("event", **event)
    [line] = log_lines()
    assert "hush" not in str(line) and logs.MASK in str(line)


def test_harmless_text_stays(log_lines: LogLines) -> None:
    logs.get("x").info("see https://example.org/path@2 and 12:30", path="/api/v3_0/sensors", total=3.5)
    [line] = log_lines()
    assert line["event"] == "see https://example.org/path@2 and 12:30" and line["path"] == "/api/v3_0/sensors"


def test_what_json_does_not_know_is_written_as_text(log_lines: LogLines) -> None:
    logs.get("x").info("event", thing=ValueError("odd"), when={1: {2}})
    assert log_lines()[0]["thing"] == "odd"


def test_the_level_counts(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("testing", "warning", "json")
    logs.get("x").info("quiet")
    logging.getLogger("y").info("quiet")
    assert capsys.readouterr().err == ""


def test_console_format_is_for_reading(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup("testing", "info", "console")
    logs.get("x").info("hello", password="hush")
    text = capsys.readouterr().err
    assert "hello" in text and not text.startswith("{") and "hush" not in text


async def test_ids_do_not_leak_between_tasks(log_lines: LogLines) -> None:
    async def work(number: int) -> None:
        with logs.bound(request_id=f"r{number}"):
            await asyncio.sleep(0)
            logs.get("x").info("done", number=number)

    await asyncio.gather(*(work(number) for number in range(5)))
    lines = [line for line in log_lines() if line["event"] == "done"]
    assert [line["request_id"] for line in lines] == [f"r{line['number']}" for line in lines]
    assert len(lines) == 5


def test_before_setup_only_warnings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    import importlib

    importlib.reload(logs)
    logs.get("x").info("quiet")
    logs.get("x").warning("loud", password="hush")
    captured = capsys.readouterr()
    assert captured.out == "" and "loud" in captured.err and "quiet" not in captured.err and "hush" not in captured.err
