"""Device readings, kept until they are converted to events."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "reading",
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("sensor_id", sa.Integer(), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("value", sa.Float(53), nullable=False),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sensor_id"], ["sensor.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("connector_id", "sensor_id", "meaning", "at"),
    )
    op.create_index("ix_reading_sensor_id", "reading", ["sensor_id"])
    op.create_table(
        "reading_due",
        sa.Column("connector_id", sa.Integer(), nullable=False),
        sa.Column("sensor_id", sa.Integer(), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["connector_id"], ["connector.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["sensor_id"], ["sensor.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("connector_id", "sensor_id", "meaning"),
    )
    op.create_index("ix_reading_due_sensor_id", "reading_due", ["sensor_id"])
