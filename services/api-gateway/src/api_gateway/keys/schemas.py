"""Requests and responses with API keys."""

from flexcore.fields import absent
from pydantic import Field

from api_gateway.response_models import ResponseModel, example
from api_gateway.tokens.schemas import EXAMPLE, Token


class NewKey(Token):
    """A key with its secret, which is shown this once: not when the same request is answered again."""

    model_config = example(**EXAMPLE, key="fmk_3Xb9vWqP1y6mKc0ZtR4uLd8sJf2hNa7eGw5xQi")

    key: str = absent()


class Keys(ResponseModel):
    keys: list[Token]


class KeysOfAccount(Keys):
    limit: int = Field(description="How many keys the users of the account may have together.", examples=[100])
