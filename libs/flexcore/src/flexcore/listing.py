"""Listings: pages, sorting and searching, as query parameters and as SQL."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

import re
from collections.abc import Sequence
from typing import Any, Literal

from flexmodel.errors import NotFound
from flexstore.rows import Row
from flexstore.store import Connection
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from flexcore.fields import Text

SortDirection = Literal["asc", "desc"]
TERM = re.compile(r'"([^"]*)"|(\S+)')
"""A term of a filter: a word, or several in quotes."""


class Query(BaseModel):
    """Query parameters. An unknown one is refused."""

    model_config = ConfigDict(extra="forbid")


class Page(Query):
    """The query of a list. Without `page` the response is a plain list of everything."""

    page: int | None = Field(default=None, ge=1, le=10**6, description="Answer this page only, counted from 1.")
    per_page: int = Field(
        default=10, ge=1, le=1000, validation_alias=AliasChoices("per_page", "per-page"), description="Size of a page."
    )
    filter: Text | None = Field(
        default=None, max_length=200, description='Words that must all occur in what is listed; in "quotes" together.'
    )
    sort_dir: SortDirection | None = Field(default=None, validation_alias=AliasChoices("sort_dir", "sort-dir"))

    @property
    def patterns(self) -> list[str]:
        """The words of the filter as patterns for `ilike all(...)`."""
        return [f"%{escaped(quoted or word)}%" for quoted, word in TERM.findall(self.filter or "")]

    async def fetch[R: Row](
        self, con: Connection, row_class: type[R], found: str, *values: object, order: str = "id"
    ) -> tuple[list[R], int]:
        """Return this page of the SQL query `found`, and how many rows it has. `order` is a trusted column."""
        sort = f"order by {order} {self.sort_dir or 'asc'} nulls last, id"
        if self.page is None:
            rows = await con.fetch(f"select * from ({found}) as found {sort}", *values, record_class=row_class)
            return rows, len(rows)
        start = (self.page - 1) * self.per_page
        page = f"select * from ({found}) as found {sort} limit {self.per_page} offset {start}"
        rows = await con.fetch(page, *values, record_class=row_class)
        matching: int = await con.fetchval(f"select count(*) from ({found}) as found", *values)
        if not rows and self.page > 1:
            raise NotFound(
                f"There is no page {self.page}: {matching} records make {-(-matching // self.per_page)} pages."
            )
        return rows, matching


class AlwaysPaged(Page):
    """The query of a list that is always paged."""

    page: int = Field(default=1, ge=1, le=10**6, description="Answer this page, counted from 1.")


def escaped(word: str) -> str:
    """Return the word with the special characters of `like` escaped."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def paged(rows: Sequence[Any], total: int, filtered: int) -> dict[str, Any]:
    """Return the response with one page of a list."""
    return {"data": rows, "num-records": total, "filtered-records": filtered, "status": 200}
