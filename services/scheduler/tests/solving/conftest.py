"""Problems written in the language of `problem_draft`."""

import pytest
from problem_draft import Draft


@pytest.fixture
def draft() -> type[Draft]:
    """Return the class, so that a test says `draft(24, minutes=15)`."""
    return Draft
