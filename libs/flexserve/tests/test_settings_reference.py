"""The reference page lists every setting as it is."""

from pathlib import Path
from typing import Literal

from flexserve.reference import PAGE, classes_in, page
from flexserve.settings import ServiceSettings
from pydantic import Field, SecretStr

WORKSPACE = Path(__file__).parents[3]


def test_the_page_is_up_to_date() -> None:
    written = (WORKSPACE / PAGE).read_text()
    assert written == page(classes_in(WORKSPACE)), "Run: make docs"


def test_every_setting_is_described() -> None:
    for cls in classes_in(WORKSPACE):
        for name, field in cls.model_fields.items():
            assert field.description, f"{cls.__name__}.{name} has no description"


def test_a_service_lists_only_what_it_adds() -> None:
    class ExampleSettings(ServiceSettings):
        """Settings of an example."""

        mode: Literal["fast", "slow"] = Field("fast", description="How | it runs.")
        secret: SecretStr | None = Field(None, description="Hush.")
        share: float = Field(description="Of the whole.")

    text = page([ExampleSettings])
    assert "FLEXMESH_PORT" not in text
    assert "| `FLEXMESH_MODE` | `fast`, `slow` | `fast` | How &#124; it runs. |" in text
    assert "| `FLEXMESH_SECRET` | secret | none | Hush. |" in text
    assert "| `FLEXMESH_SHARE` | number | must be set | Of the whole. |" in text


def test_a_default_of_its_own_is_listed() -> None:
    class OtherPort(ServiceSettings):
        port: int = Field(5001, description="The port to listen on.")

    text = page([OtherPort])
    assert (
        "| `FLEXMESH_PORT` | whole number | `5001` | The port to listen on. |" in text and "FLEXMESH_HOST" not in text
    )
