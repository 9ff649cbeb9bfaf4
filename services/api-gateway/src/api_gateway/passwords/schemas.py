"""Requests and responses with passwords."""

from typing import Annotated

from flexcore.credentials.password_rules import LONGEST
from flexcore.fields import Input, Text
from pydantic import Field

from api_gateway.response_models import ResponseModel, example

Password = Annotated[Text, Field(max_length=LONGEST)]


class PasswordChange(Input):
    model_config = example(current_password="toy-password", new_password="correct horse battery")  # noqa: S106 - an example

    current_password: Password
    new_password: Password
    revoke_keys: bool = Field(False, description="Whether to revoke your API keys too.")


class ForgottenPassword(Input):
    email: Annotated[Text, Field(max_length=254, examples=["toy-user@flexmeasures.io"])]


MAILED = "If there is a user with this email address, a link to choose a password is on its way."


class Mailed(ResponseModel):
    model_config = example(message=MAILED)

    message: str
