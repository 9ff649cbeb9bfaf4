"""Only callers with the service token are admitted."""

import pytest
from fastapi import APIRouter, Depends
from fixture_types import ClientFor
from flexserve import service_token
from flexserve.app import create_app
from flexserve.settings import ServiceSettings
from pydantic import SecretStr


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"Authorization": "Bearer the-right-token-1"}, 200),
        ({"Authorization": "Bearer the-right-token-2"}, 401),
        ({"Authorization": "the-right-token-1"}, 401),
        ({b"Authorization": "Bearer t\u00f6ken".encode("latin-1")}, 401),
        ({}, 401),
    ],
)
async def test_the_token_decides(
    sent: dict[str, str] | dict[bytes, bytes], status: int, settings: ServiceSettings, client_for: ClientFor
) -> None:
    router = APIRouter(dependencies=[Depends(service_token.RequireServiceToken(SecretStr("the-right-token-1")))])

    @router.get("/inside")
    async def inside() -> str:
        return "welcome"

    client = client_for(create_app(settings, service="testing", title="Testing", routers=[router]))
    response = await client.get("/inside", headers=sent)
    assert response.status_code == status
    assert (await client.get("/health/live")).status_code == 200


def test_new_tokens_are_long_and_differ() -> None:
    first, second = service_token.generate_token(), service_token.generate_token()
    assert first != second and len(first.get_secret_value()) >= 32


def test_separate_processes_need_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        service_token.required_token(ServiceSettings())
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("FLEXMESH_SERVICE_TOKEN is not set.")
    token = SecretStr("x" * 16)
    assert service_token.required_token(ServiceSettings(service_token=token)) == token
