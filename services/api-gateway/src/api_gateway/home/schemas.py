"""Responses about the API itself."""

from api_gateway.response_models import ResponseModel, example


class Versions(ResponseModel):
    model_config = example(
        flexmeasures_version="1.0.1",
        flexmesh_version="0.1.0",
        message="For these API versions a public endpoint is available, listing its service.",
        status=200,
        versions=["v3_0"],
    )

    flexmeasures_version: str
    flexmesh_version: str
    message: str
    status: int
    versions: list[str]


class Service(ResponseModel):
    name: str
    url: str
    description: str


class Services(ResponseModel):
    model_config = example(
        message="Request has been processed.",
        status="PROCESSED",
        version="3.0",
        services=[
            {
                "name": "GET /assets",
                "url": "http://localhost:5000/api/v3_0/assets",
                "description": "List assets accessible by the user.",
            }
        ],
    )

    message: str
    status: str
    version: str
    services: list[Service]


class Readiness(ResponseModel):
    model_config = example(database_sql=True, status=200)

    database_sql: bool
    status: int
