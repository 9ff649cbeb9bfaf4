"""Query parameters of the event stream."""

from typing import Annotated
from uuid import UUID

from flexcore.fields import Id
from flexcore.listing import Query
from flexwork.activities import ActivityType
from pydantic import Field

MOST = 100
"""The most values of one filter."""

ById = Annotated[list[Id], Field(max_length=MOST)]


class EventQuery(Query):
    """Filters, each of which may be repeated. An event must match one value of every filter given."""

    type: Annotated[list[ActivityType], Field(max_length=MOST)] = Field([], description="Only events of this type.")
    asset: ById = Field([], description="Only what is about this asset, or one below it.")
    sensor: ById = Field([], description="Only what is about this sensor.")
    job: Annotated[list[UUID], Field(max_length=MOST)] = Field([], description="Only what is about this job.")
    last_event_id: Annotated[str, Field(max_length=20)] | None = Field(
        None, alias="last-event-id", description="For clients that cannot send the header."
    )
