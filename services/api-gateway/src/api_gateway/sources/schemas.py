"""Requests and responses with sources."""

from flexcore.fields import absent
from flexcore.listing import Query

from api_gateway.response_models import ResponseModel, example


class SourceQuery(Query):
    only_latest: bool = True


class Source(ResponseModel):
    id: int
    name: str
    type: str
    description: str
    account_id: int = absent()
    user_id: int = absent()
    model: str = absent()
    version: str = absent()


class Sources(ResponseModel):
    model_config = example(
        sources=[{"id": 1, "name": "toy-user", "type": "user", "description": "toy-user", "user_id": 1}],
        types=["user", "scheduler", "forecaster", "reporter"],
        status=200,
    )

    sources: list[Source]
    types: list[str]
    status: int
