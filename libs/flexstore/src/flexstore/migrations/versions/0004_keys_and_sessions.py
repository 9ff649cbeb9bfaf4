"""API keys with a hint and an account, sessions that expire when idle, and a limit on the keys of an account."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("account", sa.Column("key_limit", sa.Integer(), nullable=True))
    op.add_column("token", sa.Column("hint", sa.String(), nullable=True))
    op.add_column("token", sa.Column("idle", sa.Interval(), nullable=True))
    op.add_column("token", sa.Column("account_id", sa.Integer(), nullable=True))
    op.create_foreign_key(None, "token", "account", ["account_id"], ["id"], ondelete="CASCADE")
    op.create_index("ix_token_account_id", "token", ["account_id"])
