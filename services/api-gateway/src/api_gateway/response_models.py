"""Models of responses, for the documentation of the API only. Responses are built without them."""

from flexcore.fields import example
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MessageResponse", "PageResponse", "PendingResponse", "ResponseModel", "example"]


class ResponseModel(BaseModel):
    """The shape of an answer."""

    model_config = ConfigDict(populate_by_name=True)


class MessageResponse(ResponseModel):
    """A sentence about what was done."""

    model_config = example(message="Default asset view updated successfully.", status=200)

    message: str
    status: int


class PendingResponse(ResponseModel):
    """What was asked for is not there yet; ask again in a moment."""

    model_config = example(message="Scheduling job in progress.", status="STARTED")

    message: str
    status: str


class PageResponse[Row](ResponseModel):
    """One page of a list."""

    data: list[Row]
    num_records: int = Field(alias="num-records", description="How many there are before the filter.", examples=[12])
    filtered_records: int = Field(alias="filtered-records", description="How many match the filter.", examples=[2])
    status: int = Field(examples=[200])
