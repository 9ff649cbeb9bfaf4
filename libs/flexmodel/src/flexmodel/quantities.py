"""Quantities and units: parsing of text, conversion of arrays, and the kind of quantity that a unit measures.

Apparent and reactive power (kVA, kvar) count as power. A unit of energy and one of power convert into each other with
the resolution of the series (kWh per 15 minutes into kW). Each text is parsed once and cached.
"""

import math
import re
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache, wraps
from threading import RLock
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pint
    from pint.facets.plain import PlainQuantity

MAX_LENGTH = 200
"""The most characters in a quantity."""

SIGNIFICANT_DIGITS = 13
"""The most digits that people and meters write; a double carries almost 16."""

DUST = 4 * float(np.finfo(np.float64).eps)
"""The largest relative error that the arithmetic of a conversion leaves."""

_COSTLY = re.compile(
    r"[eE][+-]?\d{3}"  # 1e999999999
    r"|(?:\*\*|\^)\s*(?!\(?\s*-?\d\s*(?:\)|$|[^\d.*^( ]))"  # every exponent but a single digit: 9**9**9
    r"|[⁰¹²³⁴-⁹]{2}"  # 9⁹⁹
)
"""Arithmetic that could keep a computer busy for hours, and that no real quantity needs."""

CURRENCIES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD
MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN
PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY
TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
"""
"""The currencies of ISO 4217. Each is a dimension of its own: nothing converts one into another."""

_ONE_AT_A_TIME = RLock()


class QuantityError(ValueError):
    """A text that is no quantity, or a quantity of another kind than the one needed."""


class PriceKind(NamedTuple):
    """The currency of a price (kg where emissions are priced), and what it is charged for."""

    currency: str
    per: Literal["MWh", "MW"]


def _cached[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Cache results, and compute one at a time: pint is not safe for several threads."""

    @lru_cache(maxsize=10_000)
    @wraps(function)
    def find(*args: P.args, **kwargs: P.kwargs) -> R:
        with _ONE_AT_A_TIME:
            return function(*args, **kwargs)

    return cast(Callable[P, R], find)


@_cached
def _registry() -> "pint.UnitRegistry[Fraction]":
    """Return the registry of units. Fractions keep conversions exact: 0.1 kW is 100 W, not 100.00000000000001 W."""
    import pint  # noqa: PLC0415  takes half a second with the registry, which not every process needs

    registry: pint.UnitRegistry[Fraction] = pint.UnitRegistry(
        non_int_type=Fraction, autoconvert_offset_to_baseunit=True
    )
    registry.load_definitions([f"{code} = [currency_{code}]" for code in CURRENCIES.split()])
    registry.define("volt_ampere_reactive = volt * ampere = var = VAr")
    return registry


@_cached
def _quantity(text: str) -> "PlainQuantity[Fraction]":
    """Parse a text as a quantity."""
    failed = f"Cannot convert value '{text[:MAX_LENGTH]}' to a valid quantity."
    if len(text) > MAX_LENGTH or _COSTLY.search(text):
        raise QuantityError(f"{failed} It is too complicated.")
    if "," in text:
        raise QuantityError(f"{failed} Use a decimal point, and no commas.")
    try:
        quantity = _registry().Quantity(_registry().parse_expression(text))
        finite = math.isfinite(quantity.to_base_units().magnitude)
    except AttributeError as error:  # pint raises it, with a sentence, for a word that is no unit
        raise QuantityError(f"{failed} {error}") from error
    except Exception as error:  # whatever pint's tokenizer and arithmetic raise, with a sentence for programmers
        raise QuantityError(failed) from error
    if not any(character.isdigit() for character in text):
        raise QuantityError(f"{failed} It has no number.")
    if not finite:
        raise QuantityError(f"{failed} It is not finite.")
    return quantity


@_cached
def _unit(unit: str) -> "PlainQuantity[Fraction]":
    """Return one of a unit as a quantity."""
    try:
        if len(unit) > MAX_LENGTH or _COSTLY.search(unit):
            raise ValueError("too complicated")
        one = _registry().Quantity(Fraction(1), _registry().parse_units(unit))
        one.to_base_units()  # fails for decibels, which can be neither added nor averaged
        return one
    except Exception as error:
        raise QuantityError(f"Unit '{unit[:MAX_LENGTH]}' cannot be handled.") from error


@_cached
def parse(text: str, to: str) -> float:
    """Return a quantity as a number of another unit: `parse("22 kVA", "MW")` is 0.022.

    Raises:
        QuantityError: If the text is no quantity, or cannot be converted.
    """
    quantity = _quantity(text)
    try:
        return float(quantity.to(_unit(to).units).magnitude)
    except (ValueError, TypeError):
        raise QuantityError(f"Cannot convert value `{text}` to '{to}'") from None


@_cached
def is_valid_unit(unit: str) -> bool:
    """Return whether a unit can be calculated with."""
    try:
        return bool(_unit(unit).dimensionality is not None)
    except QuantityError:
        return False


def check_unit(unit: str) -> str:
    """Return the unit. Raises `QuantityError` if it cannot be calculated with."""
    _unit(unit)
    return unit


def is_power(unit: str) -> bool:
    """Return whether the unit measures power."""
    return _same_kind(unit, "MW")


def is_energy(unit: str) -> bool:
    """Return whether the unit measures energy."""
    return _same_kind(unit, "MWh")


def is_ratio(unit: str) -> bool:
    """Return whether the unit is a plain number or a percentage."""
    return _same_kind(unit, "")


def is_currency(unit: str) -> bool:
    """Return whether the unit measures money."""
    return is_valid_unit(unit) and (_cost(_unit(unit), "") or "kg") != "kg"


def is_price(unit: str) -> bool:
    """Return whether the unit is a price, per energy or per power."""
    return price_kind(unit) is not None


@_cached
def price_kind(unit: str) -> PriceKind | None:
    """Return the kind of price that a unit measures, or None if it is no price."""
    return _price_kind(_unit(unit)) if is_valid_unit(unit) else None


@_cached
def price_kind_of_text(text: str) -> PriceKind | None:
    """Return the kind of price of a quantity ("2 cEUR/kWh"), or None if it is no price. Raises `QuantityError`."""
    return _price_kind(_quantity(text))


def currency_of(unit: str) -> str | None:
    """Return the currency of a price or of an amount of money, or None."""
    kind = price_kind(unit)
    if kind is not None:
        return kind.currency
    return _cost(_unit(unit), "") if is_currency(unit) else None


def is_money(currency: str) -> bool:
    """Return whether a price's `currency` is money, and not kilograms of emissions."""
    return currency != "kg"


def _price_kind(quantity: "PlainQuantity[Fraction]") -> PriceKind | None:
    for per in ("MWh", "MW"):
        currency = _cost(quantity, per)
        if currency is not None:
            return PriceKind(currency, per)
    return None


def _cost(quantity: "PlainQuantity[Fraction]", per: str) -> str | None:
    """Return the currency (or kg) of a quantity times `per`, or None if it is neither."""
    dimensions = {name: power for name, power in (quantity * _unit(per)).dimensionality.items() if power}
    if len(dimensions) != 1:
        return None
    [(name, power)] = dimensions.items()
    if power != 1:
        return None
    if name == "[mass]":
        return "kg"
    return name.removeprefix("[currency_").removesuffix("]") if name.startswith("[currency_") else None


@_cached
def _same_kind(unit: str, other: str) -> bool:
    return is_valid_unit(unit) and bool(_unit(unit).dimensionality == _unit(other).dimensionality)


@_cached
def _conversion(from_unit: str, to_unit: str, resolution: timedelta | None) -> tuple[float, float]:
    """Return the factor and the offset that convert numbers of `from_unit` to `to_unit`."""
    source, target = _unit(from_unit), _unit(to_unit)
    per_step = _unit("")
    if source.dimensionality != target.dimensionality and resolution and _starts_at_zero(source, target):
        hours = Fraction(resolution // timedelta(microseconds=1), 3_600_000_000)
        quantity = _registry().Quantity
        for candidate in (quantity(hours, "hour"), quantity(1 / hours, "1/hour")):
            if (source * candidate).dimensionality == target.dimensionality:
                per_step = candidate
    try:
        if per_step.unitless:
            zero = _registry().Quantity(Fraction(0), source.units).to(target.units).magnitude
            return float(source.to(target.units).magnitude - zero), float(zero)
        return float((source * per_step).to(target.units).magnitude), 0.0
    except TypeError as error:  # other dimensions; or a temperature and a difference of temperatures
        sentence = f"Required unit for this sensor is {to_unit}, got incompatible unit: {from_unit}"
        raise QuantityError(sentence) from error


def _starts_at_zero(*units: "PlainQuantity[Fraction]") -> bool:
    """Return whether nothing is 0 in all of the units. It is not in degrees Celsius, which cannot be multiplied."""
    return not any(_registry().Quantity(Fraction(0), one.units).to_base_units().magnitude for one in units)


def is_convertible(from_unit: str, to_unit: str, resolution: timedelta | None = None) -> bool:
    """Return whether a series in one unit can be converted to the other."""
    try:
        _conversion(from_unit, to_unit, resolution)
    except QuantityError:
        return False
    return True


def factor(from_unit: str, to_unit: str, resolution: timedelta | None = None) -> float:
    """Return the factor from one unit to another. Between energy and power it depends on the resolution.

    Raises:
        QuantityError: If the units do not convert, or have different zeros.
    """
    slope, offset = _conversion(from_unit, to_unit, resolution)
    if offset:
        raise QuantityError(f"Unit '{from_unit}' has another zero than '{to_unit}': there is no factor between them.")
    return slope


def convert(
    values: ArrayLike, from_unit: str, to_unit: str, resolution: timedelta | None = None
) -> NDArray[np.float64]:
    """Convert values to another unit, without float dust.

    Args:
        values: The values of a series.
        from_unit: Their unit.
        to_unit: The unit to convert to.
        resolution: The resolution of the series, needed between energy and power.

    Raises:
        QuantityError: If the units do not convert.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if from_unit == to_unit:
        return numbers + 0.0
    slope, offset = _conversion(from_unit, to_unit, resolution)
    if slope == 1.0 and offset == 0.0:
        return numbers + 0.0
    scaled = numbers * slope
    return tidy(scaled + offset, np.maximum(np.abs(scaled), abs(offset)) if offset else None)


def tidy(values: ArrayLike, largest: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Return values without the dust that arithmetic leaves, and without minus zero.

    Dust is the difference to a number of few digits. Other numbers, like a third, stay exactly as they are, so that
    converting them back restores them. `largest` is the largest summand of each value, which left the dust.
    """
    numbers = np.asarray(values, dtype=np.float64)
    largest = np.abs(numbers) if largest is None else largest
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        places = SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(largest))
        up = 10.0 ** np.clip(places, 0, 300)
        down = 10.0 ** np.clip(-places, 0, 300)
        rounded = np.rint(numbers * up / down) / up * down
        is_dust = np.abs(rounded - numbers) <= DUST * largest
    # Adding zero turns -0.0 into 0.0.
    return np.where(is_dust, rounded, numbers) + 0.0
