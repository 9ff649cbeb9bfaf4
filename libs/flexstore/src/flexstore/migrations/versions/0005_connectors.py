"""Connectors and the sensors that they fill."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

MOMENT = sa.DateTime(timezone=True)
EMPTY = sa.text("'{}'::jsonb")


def upgrade() -> None:
    op.create_table(
        "connector",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("config", JSONB(), server_default=EMPTY, nullable=False),
        sa.Column("secrets", JSONB(), server_default=EMPTY, nullable=False),
        sa.Column("every", sa.Interval(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("next_run_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("claim", sa.Uuid(), nullable=True),
        sa.Column("claimed_until", MOMENT, nullable=True),
        sa.Column("last_run_at", MOMENT, nullable=True),
        sa.Column("last_success_at", MOMENT, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("data_until", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", "account_id", name="connector_name_key", postgresql_nulls_not_distinct=True),
    )
    op.create_index("ix_connector_account_id", "connector", ["account_id"])
    op.create_index("connector_due_idx", "connector", ["next_run_at"], postgresql_where=sa.text("enabled"))
    op.create_table(
        "connector_sensor",
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("sensor_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sensor_id"], ["sensor.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("connector_id", "series"),
    )
    op.create_index("ix_connector_sensor_sensor_id", "connector_sensor", ["sensor_id"])
