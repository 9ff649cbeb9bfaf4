"""The `Location` header of the response to a request with an Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("idempotency_key", sa.Column("location", sa.Text()))


def downgrade() -> None:
    op.drop_column("idempotency_key", "location")
