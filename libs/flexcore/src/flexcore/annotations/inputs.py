"""Inputs about annotations."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from flexcore.fields import Input, Moment, Text, example, problem

AnnotationType = Literal["alert", "holiday", "label", "feedback", "warning", "error"]


class AnnotationPost(Input):
    model_config = example(
        content="Maintenance", start="2026-11-22T08:00:00+01:00", end="2026-11-22T10:00:00+01:00", type="label"
    )

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
