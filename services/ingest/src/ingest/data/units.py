"""Which units a sensor takes, and its values in its own unit."""

from datetime import timedelta
from functools import lru_cache

from flexmodel.errors import Invalid
from flexmodel.quantities import QuantityError, convert, is_convertible, is_currency, is_energy, price_kind

from ingest.data.rules import Values, refuse


@lru_cache(maxsize=2_000)
def accepts(unit: str, posted: str) -> bool:
    """Whether values in `posted` can be stored: the same kind of quantity, or an amount per event as a flow.

    Energy per event is power for as long as the event lasts. The other way round nobody could tell whether the power
    held for the whole event, so it is refused.
    """
    return unit == posted or is_convertible(posted, unit) or is_convertible(posted, f"({unit}) * h")


@lru_cache(maxsize=2_000)
def adds_up(unit: str) -> bool:
    """Whether the values of two events can be added: so much energy or money each."""
    return is_energy(unit) or is_currency(unit)


def in_unit(values: Values, posted: str, unit: str, spacing: timedelta) -> Values:
    """The values in the sensor's unit; `spacing` is how long each of them lasts."""
    if posted == unit:
        return values
    if not accepts(unit, posted):
        raise incompatible(posted, unit)
    try:
        return convert(values, posted, unit, spacing)
    except QuantityError as error:  # an amount at a moment is no flow
        raise incompatible(posted, unit) from error


def check_unit_of_type(kind: str, unit: str) -> None:
    """Refuse a unit that the values of an old type of message cannot have."""
    if kind in ("PostMeterDataRequest", "PostPrognosisRequest") and not accepts("MW", unit):
        raise wrong_for_type("MW", unit)
    if kind == "PostPriceDataRequest":
        price = price_kind(unit)
        if price is None or price.per != "MWh":
            raise wrong_for_type("an energy price unit", unit)


def wrong_for_type(needed: str, unit: str) -> Invalid:
    return refuse(
        f"The unit required for this message type should be convertible to {needed}, got incompatible unit: {unit}"
    )


def incompatible(posted: str, unit: str) -> Invalid:
    return refuse(f"Required unit for this sensor is {unit}, got incompatible unit: {posted}")
