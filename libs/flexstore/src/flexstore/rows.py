"""Rows of query results whose columns are typed attributes."""

import asyncpg


class Row(asyncpg.Record):
    """A row whose columns can be read as attributes. Subclasses declare them, with their types.

    Pass the subclass to a query: `await con.fetch(sql, record_class=SensorRow)`. The row is asyncpg's own record, so
    nothing is copied.
    """

    # The declarations of subclasses are for readers and type checkers; the record keeps the values.
    def __getattr__(self, name: str) -> object:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no column {name!r}.") from None
