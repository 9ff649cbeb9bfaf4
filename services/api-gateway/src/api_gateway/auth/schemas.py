"""Logging in, on the wire."""

from typing import Annotated

from pydantic import Field

from api_gateway.fields import Input, Text


class Credentials(Input):
    email: Annotated[Text, Field(max_length=254, examples=["toy-user@flexmeasures.io"])]
    password: Annotated[Text, Field(max_length=1000, examples=["toy-password"])]
