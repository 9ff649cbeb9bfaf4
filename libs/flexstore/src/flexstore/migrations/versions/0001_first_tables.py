"""The first tables, asset types and roles."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)

ASSET_TYPES = {
    1: ("solar", "solar panel(s)"),
    2: ("wind", "wind turbine"),
    3: ("one-way_evse", "uni-directional Electric Vehicle Supply Equipment"),
    4: ("two-way_evse", "bi-directional Electric Vehicle Supply Equipment"),
    5: ("battery", "stationary battery"),
    6: ("building", "building"),
    7: ("process", "process"),
    8: ("heat-storage", "thermal storage / buffer"),
    9: ("transmission zone", "A grid regulated & balanced as a whole, usually a national grid."),
}
"""Numbers, names and descriptions as clients of the v3_0 API know them."""

ROLES = {
    "admin": "May do everything, in every account.",
    "admin-reader": "May see everything, in every account, and change nothing.",
    "account-admin": "May do everything within the own account.",
    "account-reader": "May see everything within the own account, and change nothing.",
    "consultant": "May see and schedule what belongs to the clients of the own account.",
}

FORGET_BELIEFS = """
create function forget_beliefs() returns trigger language plpgsql as $$
begin
    delete from belief where sensor_id in (select id from gone);
    return null;
end $$
"""
"""Beliefs have no foreign keys, which would slow down every write. This trigger deletes them with their sensor."""

FORGET_WITH_THE_SENSOR = """
create trigger forget_beliefs after delete on sensor
    referencing old table as gone for each statement execute function forget_beliefs()
"""


def upgrade() -> None:
    create_accounts_and_users()
    create_assets_and_sensors()
    create_series()
    create_work()
    op.execute(FORGET_BELIEFS)
    op.execute(FORGET_WITH_THE_SENSOR)
    fill()


def create_accounts_and_users() -> None:
    """Create accounts, users, roles, tokens, rate limits and idempotency keys."""
    op.create_table(
        "account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("attributes", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("primary_color", sa.String(), nullable=True),
        sa.Column("secondary_color", sa.String(), nullable=True),
        sa.Column("logo_url", sa.String(), nullable=True),
        sa.Column("plan_id", sa.Integer(), nullable=True),
        sa.Column("consultancy_account_id", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["consultancy_account_id"], ["account.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("ix_account_consultancy_account_id", "account", ["consultancy_account_id"])
    op.create_table(
        "account_role",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "account_role_link",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("role_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["role_id"], ["account_role.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "role_id"),
    )
    op.create_table(
        "role",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("timezone", sa.Text(), server_default=sa.text("'UTC'"), nullable=False),
        sa.Column("preferences", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("last_login_at", MOMENT, nullable=True),
        sa.Column("last_seen_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("username"),
    )
    op.create_index("ix_users_account_id", "users", ["account_id"])
    op.create_index("users_email_key", "users", [sa.text("lower(email)")], unique=True)
    op.create_table(
        "user_role",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("role_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["role_id"], ["role.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "role_id"),
    )
    op.create_table(
        "token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), server_default=sa.text("'login'"), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("scopes", ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index("ix_token_user_id", "token", ["user_id"])
    op.create_table(
        "rate_limit",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("window_start", MOMENT, nullable=False),
        sa.Column("hits", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "idempotency_key",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "key"),
    )
    op.create_index("ix_idempotency_key_created_at", "idempotency_key", ["created_at"])


def create_assets_and_sensors() -> None:
    """Create assets, sensors and their types."""
    op.create_table(
        "asset_type",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "asset",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("parent_asset_id", sa.Integer(), nullable=True),
        sa.Column("asset_type_id", sa.Integer(), nullable=False),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("attributes", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("flex_model", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("flex_context", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("sensors_to_show", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("sensors_to_show_as_kpis", JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("latitude between -90 and 90", name="asset_latitude_check"),
        sa.CheckConstraint("longitude between -180 and 180", name="asset_longitude_check"),
        sa.CheckConstraint("parent_asset_id <> id", name="asset_own_parent_check"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["asset_type_id"], ["asset_type.id"], ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["parent_asset_id"], ["asset.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", "parent_asset_id", name="asset_name_under_parent_key"),
    )
    op.create_index(
        "asset_name_at_top_key",
        "asset",
        [sa.text("name"), sa.text("coalesce(account_id, 0)")],
        unique=True,
        postgresql_where=sa.text("parent_asset_id is null"),
    )
    op.create_index("ix_asset_account_id", "asset", ["account_id"])
    op.create_index("ix_asset_asset_type_id", "asset", ["asset_type_id"])
    op.create_index("ix_asset_parent_asset_id", "asset", ["parent_asset_id"])
    op.create_table(
        "sensor",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("event_resolution", sa.Interval(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default=sa.text("'UTC'"), nullable=False),
        sa.Column("attributes", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", "asset_id", name="sensor_name_on_asset_key"),
    )
    op.create_index("ix_sensor_asset_id", "sensor", ["asset_id"])


def create_series() -> None:
    """Create sources, beliefs and annotations."""
    op.create_table(
        "source",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("version_order", ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("attributes", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "name", "type", "model", "version", "user_id", name="source_key", postgresql_nulls_not_distinct=True
        ),
    )
    op.create_index("ix_source_account_id", "source", ["account_id"])
    op.create_index("ix_source_user_id", "source", ["user_id"])
    op.create_table(
        "belief",
        sa.Column("sensor_id", sa.Integer(), nullable=False),
        sa.Column("event_start", MOMENT, nullable=False),
        sa.Column("belief_time", MOMENT, nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("cumulative_probability", sa.REAL(), server_default=sa.text("0.5"), nullable=False),
        sa.Column("event_value", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("sensor_id", "event_start", "belief_time", "source_id", "cumulative_probability"),
    )
    op.create_table(
        "annotation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), server_default=sa.text("'label'"), nullable=False),
        sa.Column("start", MOMENT, nullable=False),
        sa.Column("end", MOMENT, nullable=False),
        sa.Column("belief_time", MOMENT, nullable=True),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_annotation_source_id", "annotation", ["source_id"])
    op.create_table(
        "annotation_link",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("asset_id", sa.Integer(), nullable=True),
        sa.Column("sensor_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(account_id, asset_id, sensor_id) = 1", name="annotation_link_one_subject_check"
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["annotation_id"], ["annotation.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sensor_id"], ["sensor.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "annotation_id",
            "account_id",
            "asset_id",
            "sensor_id",
            name="annotation_link_key",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("ix_annotation_link_account_id", "annotation_link", ["account_id"])
    op.create_index("ix_annotation_link_annotation_id", "annotation_link", ["annotation_id"])
    op.create_index("ix_annotation_link_asset_id", "annotation_link", ["asset_id"])
    op.create_index("ix_annotation_link_sensor_id", "annotation_link", ["sensor_id"])


def create_work() -> None:
    """Create the audit log, jobs, schedules and the outbox."""
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("event_datetime", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("active_user_id", sa.Integer(), nullable=True),
        sa.Column("active_user_name", sa.String(), nullable=True),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("affected_user_id", sa.Integer(), nullable=True),
        sa.Column("asset_id", sa.Integer(), nullable=True),
        sa.Column("sensor_id", sa.Integer(), nullable=True),
        sa.Column("details", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_log_account_id", "audit_log", ["account_id"])
    op.create_index("ix_audit_log_affected_user_id", "audit_log", ["affected_user_id"])
    op.create_index("ix_audit_log_asset_id", "audit_log", ["asset_id"])
    op.create_index("ix_audit_log_sensor_id", "audit_log", ["sensor_id"])
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'QUEUED'"), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("asset_id", sa.Integer(), nullable=True),
        sa.Column("sensor_id", sa.Integer(), nullable=True),
        sa.Column("request", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=True),
        sa.Column("result", JSONB(), nullable=True),
        sa.Column("info", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.Column("trace_context", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("claim", sa.Uuid(), nullable=True),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("enqueued_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("heartbeat_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "status in ('QUEUED', 'STARTED', 'DEFERRED', 'FINISHED', 'FAILED', 'STOPPED', 'CANCELED')",
            name="job_status_check",
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["sensor_id"], ["sensor.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_job_account_id", "job", ["account_id"])
    op.create_index("ix_job_asset_id", "job", ["asset_id"])
    op.create_index("ix_job_sensor_id", "job", ["sensor_id"])
    op.create_index("ix_job_user_id", "job", ["user_id"])
    op.create_index(
        "job_open_idx", "job", ["queue", "status"], postgresql_where=sa.text("status in ('QUEUED', 'STARTED')")
    )
    op.create_index("job_request_hash_idx", "job", ["request_hash", sa.text("created_at desc")])
    op.create_table(
        "schedule",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("sensor_id", sa.Integer(), nullable=False),
        sa.Column("start", MOMENT, nullable=False),
        sa.Column("resolution", sa.Interval(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("consumption_positive", sa.Boolean(), nullable=False),
        sa.Column("event_values", ARRAY(sa.Float(53)), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sensor_id"], ["sensor.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "sensor_id"),
    )
    op.create_index("ix_schedule_sensor_id", "schedule", ["sensor_id"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("payload", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("headers", JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("outbox_due_idx", "outbox", ["due_at"])


def fill() -> None:
    asset_type = sa.table("asset_type", sa.column("id"), sa.column("name"), sa.column("description"))
    rows = [{"id": number, "name": name, "description": text} for number, (name, text) in ASSET_TYPES.items()]
    op.bulk_insert(asset_type, rows)
    op.execute("select setval(pg_get_serial_sequence('asset_type', 'id'), (select max(id) from asset_type))")
    role = sa.table("role", sa.column("name"), sa.column("description"))
    op.bulk_insert(role, [{"name": name, "description": text} for name, text in ROLES.items()])
