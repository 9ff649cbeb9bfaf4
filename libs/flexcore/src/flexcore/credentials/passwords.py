"""Passwords: argon2id, checked in a thread, a few at a time."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
UNKNOWN = HASHER.hash("the password of nobody")
"""Checked when there is no such user, so that the answer takes the same time."""


AT_ONCE = min(4, max(1, (os.cpu_count() or 1) // 2))
"""Half of the processors go on doing other things, whoever logs in."""


class Passwords:
    """Checks passwords without holding up other requests. At most `at_once` times 19 MiB are in use."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._of_user: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, user: str) -> AsyncIterator[None]:
        """Wait for a turn to check passwords. Those of one user are checked one after the other."""
        mine = self._of_user.setdefault(user, asyncio.Lock())
        async with mine, self._turns:
            yield

    async def hash(self, password: str) -> str:
        async with self._turns:
            return await asyncio.to_thread(HASHER.hash, password)

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Return whether the password matches the hash. Without a hash: never, after the same time. Needs a turn."""
        return await asyncio.to_thread(verify, password, hashed or UNKNOWN) and hashed is not None


def verify(password: str, hashed: str) -> bool:
    try:
        return HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def outdated(hashed: str) -> bool:
    """Return whether the hash was made with other parameters than today's."""
    return HASHER.check_needs_rehash(hashed)
