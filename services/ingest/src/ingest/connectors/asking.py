"""Several questions in one run: where one of them fails, what the others bring is kept all the same."""

from collections.abc import Awaitable, Iterable, Sequence

import numpy as np

from ingest.connectors.fetched import Fetched, NotFetched, Passing
from ingest.connectors.kinds import Ask


async def gathered(answers: Iterable[Awaitable[Sequence[Fetched]]]) -> list[Fetched]:
    """What all of them bring, asked one after the other. Raises `NotFetched` with the rest if some fail.

    Once a server is in trouble, or wants to be left alone, it is asked nothing more.
    """
    fetched: list[Fetched] = []
    failures: list[NotFetched] = []
    for answer in answers:
        try:
            fetched += await answer
        except NotFetched as error:
            fetched += error.fetched
            failures.append(error)
            if isinstance(error, Passing):
                break
    if failures:
        sentences = dict.fromkeys(error.message for error in failures)
        waits = [error.retry_after for error in failures if error.retry_after is not None]
        raise NotFetched(" ".join(sentences), max(waits, default=None), fetched)
    return fetched


def expect_values(who: str, fetched: Sequence[Fetched], wanted: Iterable[str], ask: Ask) -> None:
    """Raises `NotFetched`, with the rest, if there is not one value of a series."""
    known = {each.series for each in fetched if not np.isnan(each.values).all()}
    missing = [series for series in wanted if series not in known]
    if missing:
        raise NotFetched(
            f"{who} has no {' and no '.join(missing)} from {ask.start.isoformat()} to {ask.end.isoformat()}.",
            fetched=fetched,
        )
