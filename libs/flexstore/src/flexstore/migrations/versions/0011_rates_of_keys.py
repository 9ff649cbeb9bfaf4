"""A rate limit for API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("token", sa.Column("requests_per_minute", sa.Integer()))


def downgrade() -> None:
    op.drop_column("token", "requests_per_minute")
