"""Quantities and units: text to numbers, conversion of arrays, and what kind of thing a unit measures.

Apparent and reactive power (kVA, kvar) count as power. A unit of energy and one of power convert into each other with
the resolution of the series (kWh per 15 minutes into kW). Everything is parsed once and remembered.
"""

import math
import re
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache, wraps
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pint

LONGEST = 200
"""Characters in a quantity; what is longer is none."""

SIGNIFICANT_DIGITS = 13
"""What people and meters write has no more; a double carries almost 16."""

DUST = 4 * float(np.finfo(np.float64).eps)
"""How much of a number the arithmetic of a conversion may disturb."""

_COSTLY = re.compile(
    r"[eE][+-]?\d{3}"  # 1e999999999
    r"|(?:\*\*|\^)\s*(?!\(?\s*-?\d\s*(?:\)|$|[^\d.*^( ]))"  # every exponent but a single digit: 9**9**9
    r"|[⁰¹²³⁴-⁹]{2}"  # 9⁹⁹
)
"""Arithmetic that could keep a computer busy for hours. Nobody's quantity needs it."""

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
    """Text that is no quantity, or a quantity of another kind than the one needed."""


class PriceKind(NamedTuple):
    """What a price is in (a currency, or kg where emissions are priced) and what it is charged for."""

    currency: str
    per: Literal["MWh", "MW"]


def _remember[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Remembers results, and lets one thread at a time find one: pint is not made for several."""

    @lru_cache(maxsize=10_000)
    @wraps(function)
    def find(*args: P.args, **kwargs: P.kwargs) -> R:
        with _ONE_AT_A_TIME:
            return function(*args, **kwargs)

    return cast(Callable[P, R], find)


@_remember
def _registry() -> "pint.UnitRegistry[Fraction]":
    """Return the registry of units. Fractions keep conversions exact: 0.1 kW is 100 W, not 100.00000000000001 W."""
    import pint  # noqa: PLC0415  takes half a second with the registry, which not every process needs

    registry: pint.UnitRegistry[Fraction] = pint.UnitRegistry(
        non_int_type=Fraction, autoconvert_offset_to_baseunit=True
    )
    registry.load_definitions([f"{code} = [currency_{code}]" for code in CURRENCIES.split()])
    registry.define("volt_ampere_reactive = volt * ampere = var = VAr")
    return registry


@_remember
def _quantity(text: str) -> Any:
    """The quantity that a text says."""
    failed = f"Cannot convert value '{text[:LONGEST]}' to a valid quantity."
    if len(text) > LONGEST or _COSTLY.search(text):
        raise QuantityError(f"{failed} It is too complicated.")
    if "," in text:
        raise QuantityError(f"{failed} Use a decimal point, and no commas.")
    try:
        quantity = _registry().Quantity(_registry().parse_expression(text))
        finite = math.isfinite(quantity.to_base_units().magnitude)
    except AttributeError as error:  # pint's way of saying that a word is no unit, with a sentence
        raise QuantityError(f"{failed} {error}") from error
    except Exception as error:  # whatever pint's tokenizer and arithmetic raise, with a sentence for programmers
        raise QuantityError(failed) from error
    if not any(character.isdigit() for character in text):
        raise QuantityError(f"{failed} It has no number.")
    if not finite:
        raise QuantityError(f"{failed} It is not finite.")
    return quantity


@_remember
def _unit(unit: str) -> Any:
    """One of a unit."""
    try:
        if len(unit) > LONGEST or _COSTLY.search(unit):
            raise ValueError("too complicated")
        one = _registry().Quantity(Fraction(1), _registry().parse_units(unit))
        one.to_base_units()  # which decibels have none of: they can be neither added nor averaged
        return one
    except Exception as error:
        raise QuantityError(f"Unit '{unit[:LONGEST]}' cannot be handled.") from error


@_remember
def parse(text: str, to: str) -> float:
    """How many `to` the text says: `parse("22 kVA", "MW")` is 0.022."""
    quantity = _quantity(text)
    try:
        return float(quantity.to(_unit(to).units).magnitude)
    except (ValueError, TypeError):
        raise QuantityError(f"Cannot convert value `{text}` to '{to}'") from None


@_remember
def is_valid_unit(unit: str) -> bool:
    """Whether we can calculate with the unit."""
    try:
        return bool(_unit(unit).dimensionality is not None)
    except QuantityError:
        return False


def check_unit(unit: str) -> str:
    """The unit itself if we can calculate with it, else an error that says so."""
    _unit(unit)
    return unit


def is_power(unit: str) -> bool:
    return _same_kind(unit, "MW")


def is_energy(unit: str) -> bool:
    return _same_kind(unit, "MWh")


def is_ratio(unit: str) -> bool:
    """Whether the unit is a plain number or a percentage."""
    return _same_kind(unit, "")


def is_currency(unit: str) -> bool:
    return is_valid_unit(unit) and (_cost(_unit(unit), "") or "kg") != "kg"


def is_price(unit: str) -> bool:
    """Whether the unit is a price, per energy or per power."""
    return price_kind(unit) is not None


@_remember
def price_kind(unit: str) -> PriceKind | None:
    """What a unit prices; None if it is no price."""
    return _price_kind(_unit(unit)) if is_valid_unit(unit) else None


@_remember
def price_kind_of_text(text: str) -> PriceKind | None:
    """What a quantity ("2 cEUR/kWh") prices; None if it is no price."""
    return _price_kind(_quantity(text))


def currency_of(unit: str) -> str | None:
    """The currency of a price or of an amount of money."""
    kind = price_kind(unit)
    if kind is not None:
        return kind.currency
    return _cost(_unit(unit), "") if is_currency(unit) else None


def is_money(currency: str) -> bool:
    """Whether a price's `currency` is one, and not kilograms of something."""
    return currency != "kg"


def _price_kind(quantity: Any) -> PriceKind | None:
    for per in ("MWh", "MW"):
        currency = _cost(quantity, per)
        if currency is not None:
            return PriceKind(currency, per)
    return None


def _cost(quantity: Any, per: str) -> str | None:
    """The currency (or kg) in which the quantity, times `per`, is counted."""
    dimensions = {name: power for name, power in (quantity * _unit(per)).dimensionality.items() if power}
    if len(dimensions) != 1:
        return None
    [(name, power)] = dimensions.items()
    if power != 1:
        return None
    if name == "[mass]":
        return "kg"
    return name.removeprefix("[currency_").removesuffix("]") if name.startswith("[currency_") else None


@_remember
def _same_kind(unit: str, other: str) -> bool:
    return is_valid_unit(unit) and bool(_unit(unit).dimensionality == _unit(other).dimensionality)


@_remember
def _line(from_unit: str, to_unit: str, resolution: timedelta | None) -> tuple[float, float]:
    """The factor and the offset that turn numbers of `from_unit` into numbers of `to_unit`."""
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


def _starts_at_zero(*units: Any) -> bool:
    """Whether none of something is 0 in all of the units: not so of degrees Celsius, which cannot be multiplied."""
    return not any(_registry().Quantity(Fraction(0), one.units).to_base_units().magnitude for one in units)


def is_convertible(from_unit: str, to_unit: str, resolution: timedelta | None = None) -> bool:
    """Whether a series in one unit can be given in the other."""
    try:
        _line(from_unit, to_unit, resolution)
    except QuantityError:
        return False
    return True


def factor(from_unit: str, to_unit: str, resolution: timedelta | None = None) -> float:
    """What turns numbers of `from_unit` into numbers of `to_unit`. Between energy and power it needs the resolution."""
    slope, offset = _line(from_unit, to_unit, resolution)
    if offset:
        raise QuantityError(f"Unit '{from_unit}' has another zero than '{to_unit}': there is no factor between them.")
    return slope


def convert(
    values: ArrayLike, from_unit: str, to_unit: str, resolution: timedelta | None = None
) -> NDArray[np.float64]:
    """The values in another unit, without float dust."""
    numbers = np.asarray(values, dtype=np.float64)
    if from_unit == to_unit:
        return numbers + 0.0
    slope, offset = _line(from_unit, to_unit, resolution)
    if slope == 1.0 and offset == 0.0:
        return numbers + 0.0
    scaled = numbers * slope
    return tidy(scaled + offset, np.maximum(np.abs(scaled), abs(offset)) if offset else None)


def tidy(values: ArrayLike, largest: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """The values without the dust that arithmetic leaves, and no minus zero.

    Dust is what keeps a number from being one of few digits; others, like a third, stay exactly as they are, so that
    converting them back gives what there was. `largest` is what the values were a sum of, which left the dust.
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
