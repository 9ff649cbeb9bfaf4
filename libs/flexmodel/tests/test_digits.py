import pytest
from flexmodel.digits import parse_digits


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("007", 7),
        ("9223372036854775807", 2**63 - 1),
        ("0" * 5_000 + "12", 12),
        ("9223372036854775808", None),
        ("9" * 5_000, None),
        ("", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("1_000", None),
        ("١٢", None),
        ("²", None),
    ],
)
def test_digits(text: str, number: int | None) -> None:
    assert parse_digits(text) == number


def test_numbers_beyond_the_largest() -> None:
    assert parse_digits("100", 100) == 100
    assert parse_digits("101", 100) is None
    assert parse_digits("1000", 100) is None
