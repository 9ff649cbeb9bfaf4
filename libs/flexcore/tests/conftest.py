"""Fixtures for the tests of flexcore."""

from collections.abc import AsyncIterator

import pytest
from flexstore.store import Store


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """A store with all tables."""
    store = await Store.connect(database_url)
    yield store
    await store.close()
