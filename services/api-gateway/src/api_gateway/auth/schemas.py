"""Requests and responses of logging in."""

from typing import Annotated

from flexcore.fields import Input, Text
from pydantic import Field

from api_gateway.response_models import ResponseModel, example


class Credentials(Input):
    email: Annotated[Text, Field(max_length=254, examples=["toy-user@flexmeasures.io"])]
    password: Annotated[Text, Field(max_length=1000, examples=["toy-password"])]


class Login(ResponseModel):
    model_config = example(auth_token="TWrcXZ3Zl7J0bYr5bXvVfO2Q", user_id=1, status=200)  # noqa: S106 - an example

    auth_token: str
    user_id: int
    status: int
