"""Annotations on the wire."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from api_gateway.fields import Input, Moment, Text, problem

AnnotationType = Literal["alert", "holiday", "label", "feedback", "warning", "error"]


class AnnotationPost(Input):
    content: Annotated[Text, Field(min_length=1, max_length=1024)]
    start: Moment
    end: Moment
    type: AnnotationType = "label"
    prior: Moment | None = None

    @model_validator(mode="after")
    def ends_after_start(self) -> Self:
        if self.end <= self.start:
            raise problem("The end must be after the start.")
        return self
