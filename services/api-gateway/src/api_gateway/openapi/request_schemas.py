"""OpenAPI schemas of query parameters and bodies that routes parse elsewhere than in FastAPI."""

from typing import Any

from pydantic import BaseModel


def query_parameters_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI description of the query parameters in a model."""
    schema = model.model_json_schema()
    required = schema.get("required", ())
    parameters = [
        {"in": "query", "name": name, "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]
    return {"parameters": parameters}


def request_body_schema(model: type[BaseModel], media_type: str = "application/json") -> dict[str, Any]:
    """Return the OpenAPI description of a body that the route passes on unparsed."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {media_type: {"schema": schema}}}}
