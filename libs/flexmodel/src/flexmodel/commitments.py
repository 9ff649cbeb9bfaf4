"""Custom commitments: deviations from a baseline that cost or earn money."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from flexmodel import quantities
from flexmodel.configuration import Configuration
from flexmodel.device_fields import GroupReference, Label
from flexmodel.fields import SEGMENT_SCHEMA, SENSOR_SCHEMA, Power, PriceOf, SensorId
from flexmodel.quantities import QuantityError
from flexmodel.reading import WHOLE, Reader, Reads
from flexmodel.trigger import ELECTRICITY, Price


def price_unit(value: Any, reader: Reader) -> str | None:
    """The unit, or the text with it, in which a price is given; None where there is none to be found."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        number = value.get("sensor")
        sensor = reader.tree.sensors.get(number) if isinstance(number, int) else None
        return None if sensor is None else f"1 {sensor.unit}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return price_unit(value[0].get("value"), reader)
    return None


def price_kind(value: Any, reader: Reader) -> quantities.PriceKind | None:
    """What a price, in whatever form, is in and is charged for; None if it is no price."""
    text = price_unit(value, reader)
    try:
        return None if text is None else quantities.price_kind_of_text(text)
    except QuantityError:
        return None


def _price(value: Any, reader: Reader, field: str) -> Price:
    """A price per energy or per power, whichever it is."""
    kind = price_kind(value, reader)
    per = "MWh" if kind is None else kind.per
    return Price(PriceOf(per).read(value, reader, field), per)


_FORMS = {"anyOf": [{"type": "string"}, SENSOR_SCHEMA, {"type": "array", "items": SEGMENT_SCHEMA}]}
AnyPrice = Annotated[Price, Reads(_price, _FORMS)]


class CommitmentEntry(Configuration):
    """A baseline, and prices for deviating from it."""

    name: Label = Field(description="How its costs are listed.")
    baseline: Power = Field(description="The power from which deviations count.")
    up_price: AnyPrice | None = Field(None, description="For more consumption (or less production) than the baseline.")
    down_price: AnyPrice | None = Field(None, description="Negative: a penalty for less consumption than the baseline.")
    sensors: list[SensorId] | None = Field(None, description="The devices it concerns; all of the commodity otherwise.")
    group: GroupReference | None = Field(None, description="The group of devices it concerns.")
    commodity: Label = Field(ELECTRICITY, description="The commodity whose power counts.")

    @model_validator(mode="after")
    def _fields_together(self) -> Self:
        problems: dict[str, Any] = {}
        if self.up_price is None and self.down_price is None:
            problems[WHOLE] = ["Give an `up-price`, a `down-price` or both."]
        if self.sensors is not None and self.group is not None:
            problems["group"] = ["Give either `sensors` or a `group`."]
        if problems:
            raise PydanticCustomError("refused", "refused", {"problem": problems})
        return self
