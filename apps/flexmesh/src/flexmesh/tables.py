"""Tables of the records in the database, for the terminal."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import orjson
from flexmodel.errors import NotFound
from flexmodel.time import format_duration
from flexstore.store import Connection
from flexwork import jobs

from flexmesh.record_creation import load_row

Table = tuple[Sequence[str], list[Sequence[object]]]

ACCOUNTS = """
select a.id, a.name, (select count(*) from asset s where s.account_id = a.id),
       (select count(*) from users u where u.account_id = a.id),
       (select string_agg(r.name, ', ' order by r.id) from account_role_link l join account_role r on r.id = l.role_id
        where l.account_id = a.id)
from account a order by a.id
"""
USERS = """
select u.id, u.username, u.email, u.account_id, u.last_login_at, u.last_seen_at,
       (select string_agg(r.name, ', ' order by r.id) from user_role ur join role r on r.id = ur.role_id
        where ur.user_id = u.id)
from users u where $1::int is null or u.account_id = $1 order by u.id
"""
ASSETS = """
select a.id, a.name, t.name, a.parent_asset_id, a.account_id, a.latitude, a.longitude
from asset a join asset_type t on t.id = a.asset_type_id
where $2 or a.account_id is not distinct from $1 order by a.id
"""
SENSORS = """
select s.id, s.name, s.unit, s.event_resolution, s.timezone, s.asset_id, a.name
from sensor s join asset a on a.id = s.asset_id where $1::int is null or s.asset_id = $1 order by s.id
"""
SOURCES = """
select s.id, s.name, s.type, s.model, s.version, s.user_id, s.account_id from source s
where $1::int is null or s.id = $1 order by s.id
"""
SENSORS_OF_SOURCE = """
select s.id, s.name, s.unit, a.id, a.name from sensor s join asset a on a.id = s.asset_id
where exists (select from belief b where b.sensor_id = s.id and b.source_id = $1) order by s.id
"""
JOBS = """
select id, queue, status, created_at, started_at, ended_at, coalesce(error, '') from job
where ($1::text is null or queue = $1) and ($2::text is null or status = $2) order by created_at desc limit $3
"""
QUEUES = """
select queue, count(*) filter (where status = 'QUEUED'), count(*) filter (where status = 'STARTED'),
       count(*) filter (where status = 'FINISHED'), count(*) filter (where status = 'FAILED')
from job group by queue order by queue
"""
USER_HEADER = ("ID", "Name", "Email", "Account", "Last login", "Last seen", "Roles")
ASSET_HEADER = ("ID", "Name", "Type", "Parent", "Account", "Latitude", "Longitude")


def facts_table(pairs: Iterable[tuple[str, object]]) -> Table:
    """Return a table of names and values, without those that are None."""
    return ("", ""), [pair for pair in pairs if pair[1] is not None]


def to_json(document: object) -> str | None:
    return None if document is None else orjson.dumps(document, default=str).decode()


def to_rows(rows: Iterable[Iterable[object]]) -> list[Sequence[object]]:
    return [tuple(found) for found in rows]


async def list_accounts(con: Connection) -> Table:
    return ("ID", "Name", "Assets", "Users", "Roles"), to_rows(await con.fetch(ACCOUNTS))


async def list_users(con: Connection, account: int | None = None) -> Table:
    return USER_HEADER, to_rows(await con.fetch(USERS, account))


async def list_roles(con: Connection) -> Table:
    found = await con.fetch(
        "select 'user', id, name, description from role "
        "union all select 'account', id, name, description from account_role order by 1 desc, 2"
    )
    return ("Of", "ID", "Name", "Description"), to_rows(found)


async def list_asset_types(con: Connection) -> Table:
    found = await con.fetch("select id, name, description from asset_type order by id")
    return ("ID", "Name", "Description"), to_rows(found)


async def list_assets(con: Connection, account: int | None, *, everything: bool = False) -> Table:
    """Return the assets of an account, or the public ones if it is None."""
    if account is not None:
        await load_row(con, "account", account, "account")
    return ASSET_HEADER, to_rows(await con.fetch(ASSETS, account, everything))


async def list_sensors(con: Connection, asset: int | None) -> Table:
    found: list[Sequence[object]] = [
        (id, name, unit, format_duration(resolution), timezone, f"{asset_name} ({asset_id})")
        for id, name, unit, resolution, timezone, asset_id, asset_name in await con.fetch(SENSORS, asset)
    ]
    return ("ID", "Name", "Unit", "Resolution", "Timezone", "Asset"), found


async def list_data_sources(con: Connection, source: int | None) -> Table:
    if source is not None:
        await load_row(con, "source", source, "source")
    return ("ID", "Name", "Type", "Model", "Version", "User", "Account"), to_rows(await con.fetch(SOURCES, source))


async def list_sensors_of_source(con: Connection, source: int) -> Table:
    return ("ID", "Name", "Unit", "Asset", "Asset name"), to_rows(await con.fetch(SENSORS_OF_SOURCE, source))


async def list_jobs(con: Connection, queue: str | None, status: str | None, count: int) -> Table:
    header = ("ID", "Queue", "Status", "Created", "Started", "Ended", "Error")
    return header, to_rows(await con.fetch(JOBS, queue, status, count))


async def list_queues(con: Connection) -> Table:
    return ("Queue", "Waiting", "Started", "Finished", "Failed"), to_rows(await con.fetch(QUEUES))


async def describe_account(con: Connection, id: int) -> list[tuple[str, Table]]:
    found = await load_row(con, "account", id, "account")
    shown = ("name", "consultancy_account_id", "created_at")
    return [
        (f"Account {id}", facts_table((name, found[name]) for name in shown)),
        ("Users", await list_users(con, id)),
        ("Assets", await list_assets(con, id)),
    ]


async def describe_asset(con: Connection, id: int) -> list[tuple[str, Table]]:
    found = await load_row(con, "asset", id, "asset")
    type_name = await con.fetchval("select name from asset_type where id = $1", found["asset_type_id"])
    shown = ("name", "account_id", "parent_asset_id", "latitude", "longitude", "description")
    documents = ("attributes", "flex_model", "flex_context")
    pairs = [
        ("type", type_name),
        *((name, found[name]) for name in shown),
        *((name, to_json(found[name])) for name in documents),
    ]
    children = await con.fetch(
        "select a.id, a.name, t.name from asset a join asset_type t on t.id = a.asset_type_id "
        "where a.parent_asset_id = $1 order by a.id",
        id,
    )
    return [
        (f"Asset {id}", facts_table(pairs)),
        ("Child assets", (("ID", "Name", "Type"), to_rows(children))),
        ("Sensors", await list_sensors(con, id)),
    ]


async def describe_job(con: Connection, id: str) -> list[tuple[str, Table]]:
    try:
        found = await jobs.get(con, UUID(id))
    except ValueError:
        found = None
    if found is None:
        raise NotFound(f"There is no job {id}.")
    plain = ("queue", "status", "attempts", "error", "created_at", "started_at", "ended_at")
    documents = ("request", "result", "info")
    pairs = [
        *((name, getattr(found, name)) for name in plain),
        *((name, to_json(getattr(found, name))) for name in documents),
    ]
    return [(f"Job {id}", facts_table(pairs))]
