"""Quantities and units."""

import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest
from flexmodel import quantities
from flexmodel.quantities import QuantityError, convert, factor, parse, tidy
from hypothesis import given
from hypothesis import strategies as st

QUARTER = timedelta(minutes=15)


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("22 kVA", "MW", 0.022),
        ("7 kvar", "MW", 0.007),
        ("3 * 230V * 16A", "MW", 0.01104),
        ("(30/2 - 1) kW", "MW", 0.014),
        ("5.0kW", "MW", 0.005),
        ("90%", "", 0.9),
        ("300.0 %", "", 3.0),
        ("0.9", "", 0.9),
        ("8.35 kWh", "MWh", 0.00835),
        ("2 cEUR/kWh", "EUR/MWh", 20.0),
        ("-0.010 EUR/kWh", "EUR/MWh", -10.0),
        ("120 EUR/kW", "EUR/MW", 120_000.0),
        ("1 kKRW/kWh", "KRW/MWh", 1_000_000.0),
        ("3 kg/MWh", "kg/MWh", 3.0),
        ("67.1 degF", "degC", 19.5),
    ],
)
def test_text_becomes_a_number(text: str, unit: str, number: float) -> None:
    assert parse(text, unit) == number


@pytest.mark.parametrize(
    ("text", "unit", "sentence"),
    [
        ("20 kWh", "MW", "Cannot convert value `20 kWh` to 'MW'"),
        ("90 EUR", "MWh", "Cannot convert value `90 EUR` to 'MWh'"),
        ("5", "MW", "Cannot convert value `5` to 'MW'"),
        ("10 USD/MWh", "EUR/MWh", "Cannot convert value `10 USD/MWh` to 'EUR/MWh'"),
        ("lots", "MWh", "Cannot convert value 'lots' to a valid quantity. 'lots' is not defined in the unit registry"),
        ("1,5 kW", "MW", "Use a decimal point"),
        ("kW", "MW", "It has no number."),
        ("", "MW", "It has no number."),
        ("1/0 kW", "MW", "to a valid quantity."),
        ("nan kW", "MW", "to a valid quantity."),
        ("1e99 kW * 1e99 * 1e99 * 1e99", "MW", "to a valid quantity."),
        ("12:30", "MW", "to a valid quantity."),
        ("20 dBm", "MW", "to a valid quantity."),
    ],
)
def test_text_that_is_no_quantity(text: str, unit: str, sentence: str) -> None:
    with pytest.raises(QuantityError) as error:
        parse(text, unit)
    assert sentence in str(error.value)


@pytest.mark.parametrize("text", ["9**9**9 kW", "9^9^9", "1e999999999 kW", "9⁹⁹⁹⁹⁹ kW", "2**(9**9)", "1 " + "k" * 300])
def test_costly_arithmetic_is_rejected_at_once(text: str) -> None:
    with pytest.raises(QuantityError, match="too complicated"):
        parse(text, "MW")


def test_small_powers_are_fine() -> None:
    assert parse("2**3 kW", "MW") == 0.008
    assert parse("1 kg*m**2/s**3", "MW") == 1e-6


@pytest.mark.parametrize("unit", ["kW", "kVA", "EUR", "EUR/MWh", "kEUR/MWh", "%", "", "°C", "W/m²", "m/s", "AUD/kWh"])
def test_known_units(unit: str) -> None:
    assert quantities.is_valid_unit(unit)
    assert quantities.check_unit(unit) == unit


@pytest.mark.parametrize("unit", ["bogusunit", "3 kW", "EURO/MWh", "m**999999999", "k" * 300, "dB", "dBm"])
def test_unknown_units(unit: str) -> None:
    assert not quantities.is_valid_unit(unit)
    with pytest.raises(QuantityError, match="cannot be handled"):
        quantities.check_unit(unit)


def test_kinds_of_units() -> None:
    assert quantities.is_power("kVA") and not quantities.is_power("kWh")
    assert quantities.is_energy("GJ") and not quantities.is_energy("kW")
    assert quantities.is_ratio("%") and not quantities.is_ratio("EUR")
    assert quantities.is_currency("kEUR") and not quantities.is_currency("kg") and not quantities.is_currency("EUR/h")
    assert quantities.is_price("EUR/kWh") and quantities.is_price("USD/kW")
    assert quantities.price_kind("EUR/kWh") == ("EUR", "MWh") and quantities.price_kind("USD/kW") == ("USD", "MW")
    assert (
        not quantities.is_price("kW") and not quantities.is_price("bogusunit") and not quantities.is_price("EUR²/MWh")
    )


def test_currencies() -> None:
    assert quantities.currency_of("cEUR/kWh") == "EUR"
    assert quantities.currency_of("USD") == "USD"
    assert quantities.currency_of("kg/MWh") == "kg" and not quantities.is_money("kg")
    assert quantities.currency_of("kW") is None
    assert quantities.price_kind_of_text("2 KRW/kW") == ("KRW", "MW")


def test_energy_and_power_convert_with_the_resolution() -> None:
    assert factor("kWh", "MW", QUARTER) == 0.004
    assert factor("MW", "kWh", QUARTER) == 250
    assert factor("EUR/kWh", "EUR/MWh") == 1000
    with pytest.raises(QuantityError, match="Required unit for this sensor is MW, got incompatible unit: kWh"):
        factor("kWh", "MW")
    with pytest.raises(QuantityError, match="Required unit for this sensor is EUR/MWh, got incompatible unit: kW"):
        factor("kW", "EUR/MWh", QUARTER)


def test_units_with_another_zero_have_no_factor() -> None:
    assert convert([70.0, 32.0], "degF", "degC").tolist() == [pytest.approx(190 / 9), 0.0]
    with pytest.raises(QuantityError, match="another zero"):
        factor("degF", "degC")


@pytest.mark.parametrize(
    ("one", "other"),
    [("delta_degC", "degC"), ("degF", "delta_degC"), ("degC/h", "degC"), ("degC", "K*h"), ("K/h", "degC")],
)
def test_temperatures_and_differences_do_not_convert(one: str, other: str) -> None:
    with pytest.raises(QuantityError, match="got incompatible unit"):
        convert([20.0], one, other, QUARTER)


def test_differences_of_temperatures_convert() -> None:
    assert convert([9.0], "delta_degF", "delta_degC").tolist() == [5.0]
    assert convert([4.0], "degC/h", "delta_degC", QUARTER).tolist() == [1.0]


def test_converted_values_carry_no_dust() -> None:
    values = convert([-164.078309, -0.0, 0.1, 1 / 3], "kW", "W")
    assert values[0] == -164078.309
    assert values[2] == 100.0
    assert str(values[1]) == "0.0"


def test_values_in_the_same_unit_stay_as_they_are() -> None:
    value = 55.65017591021471
    assert convert([value], "kWh", "kWh")[0] == value
    assert convert([value], "kVA", "kW")[0] == value


def test_tidy_keeps_nan_and_infinity() -> None:
    assert np.isnan(tidy([np.nan])[0])
    assert tidy([np.inf, -np.inf, 0.0]).tolist() == [np.inf, -np.inf, 0.0]


@given(st.floats(-1e12, 1e12), st.sampled_from(["W", "kW", "MW", "kWh", "MWh"]), st.sampled_from(["kW", "MW", "Wh"]))
def test_conversions_can_be_undone(value: float, one: str, other: str) -> None:
    there = convert([value], one, other, QUARTER)
    assert convert(there, other, one, QUARTER)[0] == pytest.approx(value, rel=1e-12, abs=1e-250)


@given(
    st.decimals(-(10**6), 10**6, places=3).map(float),
    st.sampled_from([("degF", "degC"), ("K", "degC"), ("kW", "kWh"), ("MJ", "kWh"), ("km/h", "m/s"), ("hp", "kW")]),
)
def test_conversion_to_another_unit_and_back(value: float, units: tuple[str, str]) -> None:
    one, other = units
    length = timedelta(minutes=5)
    assert convert(convert([value], one, other, length), other, one, length)[0] == value


@given(st.decimals(-(10**6), 10**6, places=6), st.sampled_from(["W", "kW", "MW"]))
def test_formatted_numbers_parse_to_themselves(number: object, unit: str) -> None:
    assert parse(f"{number} {unit}", unit) == float(str(number))


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e200, max_value=1e200))
def test_tidy_changes_nothing_but_the_last_digits(value: float) -> None:
    tidied = float(tidy([value])[0])
    assert tidied == pytest.approx(value, rel=1e-13, abs=1e-250)
    assert float(tidy([tidied])[0]) == tidied


def test_first_use_by_many_threads() -> None:
    """Every thread gets the same registry, also when all of them want to build it."""
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from flexmodel.quantities import parse\n"
        "with ThreadPoolExecutor(16) as pool:\n"
        "    numbers = list(pool.map(lambda k: parse(f'{k} kW', 'MW'), range(64)))\n"
        "assert numbers == [k / 1000 for k in range(64)], numbers\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
