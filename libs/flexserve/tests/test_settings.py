"""Wrong settings end the start with a sentence that names the variable; secrets stay out of sight."""

import pytest
from flexserve.settings import ServiceSettings, load


def failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **variables: str) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stop:
        load(ServiceSettings)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXMESH_PORT", "5050")
    monkeypatch.setenv("FLEXMESH_LOG_LEVEL", "WARNING")
    settings = load(ServiceSettings)
    assert (settings.port, settings.log_level) == (5050, "warning")


def test_values_from_code_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXMESH_PORT", "5050")
    assert load(ServiceSettings, port=6000).port == 6000


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEXMESH_PORT", "")
    assert load(ServiceSettings).port == 5000


def test_every_wrong_value_gets_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = failure(
        monkeypatch, capsys, FLEXMESH_PORT="five", FLEXMESH_LOG_LEVEL="loud", FLEXMESH_BROKER_URL="redis://x"
    )
    assert len(lines) == 3
    port = next(line for line in lines if line.startswith("FLEXMESH_PORT"))
    assert "'five'" in port and "valid integer" in port and "The port to listen on" in port
    level = next(line for line in lines if line.startswith("FLEXMESH_LOG_LEVEL"))
    assert "'loud'" in level and "'debug', 'info'" in level
    broker = next(line for line in lines if line.startswith("FLEXMESH_BROKER_URL"))
    assert "'redis://x'" in broker and "should start with amqp:// or amqps:// or memory://" in broker


def test_a_missing_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    from pydantic import Field

    class Strict(ServiceSettings):
        must: int = Field(description="What must be.")

    with pytest.raises(SystemExit):
        load(Strict)
    assert capsys.readouterr().err == "FLEXMESH_MUST is not set. What must be.\n"


def test_secrets_are_not_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lines = failure(
        monkeypatch, capsys, FLEXMESH_SERVICE_TOKEN="tooshort", FLEXMESH_DATABASE_URL="mysql://me:hush@db/flexmesh"
    )
    text = "\n".join(lines)
    assert "FLEXMESH_SERVICE_TOKEN is ***" in text and "16 characters" in text
    assert "mysql://me:***@db/flexmesh" in text
    assert "tooshort" not in text and "hush" not in text


def test_secrets_are_not_in_the_repr() -> None:
    settings = ServiceSettings(
        database_url="postgresql://me:hush@db/x", broker_url="amqp://me:hush@mq/", service_token="hush" * 4
    )
    assert "hush" not in repr(settings) and "hush" not in str(settings)
