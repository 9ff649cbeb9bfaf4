"""SQL about annotations."""

# ruff: noqa: S608  SQL is put together from constants here; values always travel beside it.

from datetime import datetime

from flexmodel.errors import NotFound
from flexstore.rows import Row
from flexstore.store import Connection

from flexcore.annotations.inputs import AnnotationPost
from flexcore.permissions.policy import ResourceType

SUBJECT = {ResourceType.ACCOUNT: "account_id", ResourceType.ASSET: "asset_id", ResourceType.SENSOR: "sensor_id"}
COLUMNS = 'id, content, type, start, "end", belief_time, source_id'


class AnnotationRow(Row):
    """An annotation."""

    id: int
    content: str
    type: str
    start: datetime
    end: datetime
    belief_time: datetime | None
    source_id: int


class SourcedAnnotationRow(AnnotationRow):
    """An annotation with the name of its source."""

    source_name: str


async def find_equal(con: Connection, annotation: AnnotationPost, source_id: int) -> int | None:
    """Return the id of an equal annotation, or None."""
    known: int | None = await con.fetchval(
        """select id from annotation where content = $1 and type = $2 and start = $3 and "end" = $4
           and belief_time is not distinct from $5 and source_id = $6""",
        annotation.content, annotation.type, annotation.start, annotation.end, annotation.prior, source_id,
    )  # fmt: skip
    return known


async def insert(con: Connection, annotation: AnnotationPost, source_id: int) -> int:
    new: int = await con.fetchval(
        """insert into annotation (content, type, start, "end", belief_time, source_id)
           values ($1, $2, $3, $4, $5, $6) returning id""",
        annotation.content, annotation.type, annotation.start, annotation.end, annotation.prior, source_id,
    )  # fmt: skip
    return new


async def link(con: Connection, annotation_id: int, subject: ResourceType, subject_id: int) -> bool:
    """Attach the annotation to its subject. Return whether that was new."""
    column = SUBJECT[subject]
    return bool(
        await con.fetchval(
            f"insert into annotation_link (annotation_id, {column}) values ($1, $2)"
            " on conflict do nothing returning true",
            annotation_id,
            subject_id,
        )
    )


async def get(con: Connection, annotation_id: int) -> AnnotationRow:
    """Return the annotation. Raises `NotFound` if there is none with this id."""
    row = await con.fetchrow(
        f"select {COLUMNS} from annotation where id = $1", annotation_id, record_class=AnnotationRow
    )
    if row is None:
        raise NotFound(f"There is no annotation with ID {annotation_id}.")
    return row


async def load_about_asset(
    con: Connection, asset_id: int, start: datetime | None, end: datetime | None, prior: datetime | None
) -> list[SourcedAnnotationRow]:
    """Return annotations of an asset, its sensors and its account that overlap a period; at most 10,000."""
    return await con.fetch(
        """select distinct n.id, n.content, n.type, n.start, n."end", n.belief_time, n.source_id, s.name as source_name
           from annotation n join annotation_link l on l.annotation_id = n.id join source s on s.id = n.source_id
           where n.start < coalesce($3::timestamptz, 'infinity')
             and n."end" > coalesce($2::timestamptz, '-infinity')
             and ($4::timestamptz is null or coalesce(n.belief_time, n.start) <= $4)
             and (l.asset_id = $1 or l.sensor_id in (select id from sensor where asset_id = $1)
                  or l.account_id = (select account_id from asset where id = $1))
           order by n.start, n.id limit 10000""",
        asset_id, start, end, prior, record_class=SourcedAnnotationRow,
    )  # fmt: skip
