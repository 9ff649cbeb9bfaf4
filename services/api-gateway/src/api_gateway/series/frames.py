"""Tables as data frames. Polars takes a moment and much memory to load, so only those who ask for it pay for it."""

from typing import TYPE_CHECKING

from api_gateway.series.asking import Asked
from api_gateway.series.tables import MOMENTS, Table

if TYPE_CHECKING:
    import polars


def frame_of(asked: Asked, table: Table) -> "polars.DataFrame":
    """A data frame with moments in the time zone asked for."""
    import polars as pl  # noqa: PLC0415  loaded only when it is asked for

    told = pl.col(*[name for name in MOMENTS if name in table]).dt.replace_time_zone("UTC")
    return pl.DataFrame(table).with_columns(told.dt.convert_time_zone(asked.zone_name))
