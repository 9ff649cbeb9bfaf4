"""Whole numbers in the texts of strangers."""


def parse_digits(text: str, largest: int = 2**63 - 1) -> int | None:
    """Return the number that ASCII digits spell, or None if there are others, or if it is beyond the largest.

    Python's `int` takes digits of all scripts, and raises an error of its own for numbers of thousands of digits.
    """
    if not (text.isascii() and text.isdigit()) or len(text.lstrip("0")) > len(str(largest)):
        return None
    number = int(text[-len(str(largest)) :])
    return number if number <= largest else None
