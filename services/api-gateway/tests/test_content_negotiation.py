"""Formats of responses, by the Accept header."""

import pytest
from api_gateway.series.responses import choose_media_type
from starlette.exceptions import HTTPException

OFFERED = ["application/json", "text/csv", "application/vnd.apache.parquet"]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", 0),
        ("*/*", 0),
        ("application/json", 0),
        ("text/csv", 1),
        ("TEXT/CSV ; charset=utf-8", 1),
        ("text/*", 1),
        ("application/*", 0),
        ("text/csv, application/json", 0),
        ("text/csv;q=0.9, application/json;q=0.8", 1),
        ("application/json;q=0.1, */*;q=0.5", 1),
        ("*/*;q=0.1, application/vnd.apache.parquet;q=0.2", 2),
        ("application/json;q=0, */*", 1),
        ("application/json;q=0, text/csv;q=0, application/*", 2),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", 0),
        ("text/html, text/csv;q=nonsense, application/vnd.apache.parquet;q=0.001", 2),
        ("text/csv;q=7, application/json", 0),
    ],
)
def test_the_client_decides(accept: str, expected: int) -> None:
    assert choose_media_type(accept, OFFERED) == OFFERED[expected]


@pytest.mark.parametrize("accept", ["image/png", "text/html", "application/json;q=0", "*/*;q=0", "csv", "text/csv;q=x"])
def test_who_wants_something_else_is_told_what_there_is(accept: str) -> None:
    with pytest.raises(HTTPException, match="Accept one of application/json, text/csv") as refusal:
        choose_media_type(accept, OFFERED)
    assert refusal.value.status_code == 406
