"""The base of flex-models and flex-contexts: kebab-case keys, unknown ones refused, problems reported by field."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from flexmodel.reading import MOST_TOLD, REQUIRED, UNKNOWN, WHOLE, Reader, Refused

NOT_NULL = "Field may not be null."
SENTENCES = {
    "missing": REQUIRED,
    "extra_forbidden": UNKNOWN,
    "bool_type": "Not a valid boolean.",
    "int_type": "Not a valid integer.",
    "float_type": "Not a valid number.",
    "finite_number": "Not a valid number.",
    "string_type": "Not a valid string.",
    "list_type": "Not a valid list.",
    "tuple_type": "Not a valid list.",
    "dict_type": "Not a valid mapping type.",
    "model_type": "Not a valid mapping type.",
    "too_short": "Shorter than minimum length 1.",
}


def kebab(name: str) -> str:
    return name.replace("_", "-")


class Configuration(BaseModel):
    """A part of a configuration whose keys are its fields' names with hyphens."""

    model_config = ConfigDict(alias_generator=kebab, extra="forbid", frozen=True, strict=True, defer_build=True)

    nullable: ClassVar[tuple[str, ...]] = ()
    """Keys that may be null, which is as if they were not there."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, config: Any) -> Any:
        """Refuses nulls, which optional fields would take as absent."""
        if isinstance(config, Mapping):
            nulls = (key for key, value in config.items() if value is None and key not in cls.nullable)
            problems = {key: [NOT_NULL] for key in islice(nulls, MOST_TOLD)}
            if problems:
                raise PydanticCustomError("refused", "refused", {"problem": problems})
        return config

    @classmethod
    def read(cls, config: Any, reader: Reader) -> Self:
        """The configuration, checked. Raises `Refused` with all problems."""
        if not isinstance(config, Mapping):
            raise Refused("Not a valid mapping type.")
        try:
            return cls.model_validate(dict(config), context=reader)
        except ValidationError as error:
            raise Refused(problems_by_field(error)) from None


def problems_by_field(error: ValidationError) -> dict[str, Any]:
    """What pydantic found, nested by key, each problem a list of sentences."""
    found: dict[str, Any] = {}
    for detail in error.errors(include_url=False)[:MOST_TOLD]:
        problem: Any = _problem(detail)
        for part in reversed(detail["loc"]):
            problem = {str(part): problem}
        found = _merged(found, problem if isinstance(problem, dict) else {WHOLE: problem})
    return found


def _merged(known: Any, more: Any) -> Any:
    """Problems of a whole and of its parts, together; the first one found about the same thing counts."""
    if not isinstance(known, dict) or not isinstance(more, dict):
        return known
    return known | {key: _merged(known[key], problem) if key in known else problem for key, problem in more.items()}


def _problem(detail: ErrorDetails) -> list[str] | dict[str, Any]:
    if detail["type"] == "refused":
        problem: list[str] | dict[str, Any] = detail["ctx"]["problem"]
        return problem
    if detail["input"] is None and detail["type"] != "missing":
        return [NOT_NULL]
    if detail["type"] in ("enum", "literal_error"):
        choices = str(detail["ctx"]["expected"]).replace("'", "").replace(" or ", ", ")
        return [f"Must be one of: {choices}."]
    return [SENTENCES.get(detail["type"], detail["msg"])]
