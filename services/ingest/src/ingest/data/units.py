"""Units of posted data: whether a sensor accepts them, and conversion into the sensor's unit."""

from datetime import timedelta
from functools import lru_cache

from flexmodel.errors import Invalid
from flexmodel.quantities import QuantityError, convert, is_convertible, is_currency, is_energy, price_kind

from ingest.data.resampling import Values, schema_error


@lru_cache(maxsize=2_000)
def accepts_unit(unit: str, posted: str) -> bool:
    """Return whether values in the unit `posted` can be stored in `unit`.

    That is so for the same kind of quantity, and for an amount per event where the sensor holds a flow: energy per
    event is power over the event. The reverse is refused, because power may not have held for the whole event.
    """
    return unit == posted or is_convertible(posted, unit) or is_convertible(posted, f"({unit}) * h")


@lru_cache(maxsize=2_000)
def is_additive(unit: str) -> bool:
    """Return whether values of several events add up, as amounts of energy or money do."""
    return is_energy(unit) or is_currency(unit)


def convert_to_sensor_unit(values: Values, posted: str, unit: str, spacing: timedelta) -> Values:
    """Convert values into the sensor's unit.

    Args:
        values: Values in the unit `posted`.
        posted: Unit of the values.
        unit: Unit of the sensor.
        spacing: Length of time that each value covers.

    Raises:
        Invalid: The sensor does not accept the unit.
    """
    if posted == unit:
        return values
    if not accepts_unit(unit, posted):
        raise incompatible_unit_error(posted, unit)
    try:
        return convert(values, posted, unit, spacing)
    except QuantityError as error:  # an amount at a moment is not a flow
        raise incompatible_unit_error(posted, unit) from error


def check_message_type_unit(message_type: str, unit: str) -> None:
    """Refuse a unit that an old type of message does not allow."""
    if message_type in ("PostMeterDataRequest", "PostPrognosisRequest") and not accepts_unit("MW", unit):
        raise message_type_unit_error("MW", unit)
    if message_type == "PostPriceDataRequest":
        price = price_kind(unit)
        if price is None or price.per != "MWh":
            raise message_type_unit_error("an energy price unit", unit)


def message_type_unit_error(needed: str, unit: str) -> Invalid:
    return schema_error(
        f"The unit required for this message type should be convertible to {needed}, got incompatible unit: {unit}"
    )


def incompatible_unit_error(posted: str, unit: str) -> Invalid:
    return schema_error(f"Required unit for this sensor is {unit}, got incompatible unit: {posted}")
