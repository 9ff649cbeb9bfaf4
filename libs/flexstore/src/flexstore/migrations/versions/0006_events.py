"""The activity log and its followers; webhooks with filters, descriptions and a second secret."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import CreateSequence

revision = "0006"
down_revision = "0005"

MOMENT = sa.DateTime(timezone=True)
EMPTY = sa.text("'{}'")
NO_KEYS = sa.text("'{}'::jsonb")


def upgrade() -> None:
    op.execute(CreateSequence(sa.Sequence("event_position")))
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("assets", ARRAY(sa.Integer()), nullable=False),
        sa.Column("sensors", ARRAY(sa.Integer()), nullable=False),
        sa.Column("data", JSONB(), server_default=NO_KEYS, nullable=False),
        sa.Column("headers", JSONB(), server_default=NO_KEYS, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("position"),
    )
    op.create_index("event_waiting_idx", "event", ["id"], postgresql_where=sa.text("position is null"))
    op.create_index("ix_event_created_at", "event", ["created_at"])
    op.create_table(
        "event_interest",
        sa.Column("account_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("told_from", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("account_id"),
    )
    for name in ("assets", "sensors"):
        op.add_column("webhook", sa.Column(name, ARRAY(sa.Integer()), server_default=EMPTY, nullable=False))
    op.add_column("webhook", sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False))
    for name, kind in (
        ("old_secret", sa.Text()),
        ("old_secret_until", MOMENT),
        ("failing_since", MOMENT),
        ("disabled_reason", sa.Text()),
    ):
        op.add_column("webhook", sa.Column(name, kind, nullable=True))
