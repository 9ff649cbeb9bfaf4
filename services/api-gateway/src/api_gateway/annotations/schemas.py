"""Requests and responses with annotations."""

from flexcore.annotations.inputs import AnnotationType

from api_gateway.response_models import ResponseModel, example


class Annotation(ResponseModel):
    model_config = example(
        content="Maintenance",
        start="2026-11-22T07:00:00+00:00",
        end="2026-11-22T09:00:00+00:00",
        id=1,
        prior=None,
        source=1,
        type="label",
    )

    content: str
    start: str
    end: str
    id: int
    prior: str | None
    source: int
    type: AnnotationType
