"""Daily rollups of beliefs, for statistics over long periods."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

MOMENT = sa.DateTime(timezone=True)

FORGET_BELIEFS = """
create or replace function forget_beliefs() returns trigger language plpgsql as $$
begin
    delete from belief where sensor_id in (select id from gone);
    delete from belief_day where sensor_id in (select id from gone);
    delete from belief_day_due where sensor_id in (select id from gone);
    return null;
end $$
"""

MOVE_DAYS = """
create function move_days() returns trigger language plpgsql as $$
begin
    insert into belief_day_due (sensor_id, first_event, last_event) values (new.id, '-infinity', 'infinity');
    return null;
end $$
"""
"""A change of the time zone of a sensor: its days have to be rolled up again."""

MOVE_WITH_THE_SENSOR = """
create trigger move_days after update of timezone on sensor
    for each row when (old.timezone is distinct from new.timezone) execute function move_days()
"""


def upgrade() -> None:
    op.create_table(
        "belief_day",
        sa.Column("sensor_id", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=False),
        sa.Column("day", MOMENT, nullable=False),
        sa.Column("beliefs", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("minimum", sa.Float(53), nullable=False),
        sa.Column("maximum", sa.Float(53), nullable=False),
        sa.Column("total", sa.Float(53), nullable=False),
        sa.Column("first_event", MOMENT, nullable=False),
        sa.Column("last_event", MOMENT, nullable=False),
        sa.Column("last_belief", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("sensor_id", "day", "source_id"),
    )
    op.create_table(
        "belief_day_due",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("sensor_id", sa.Integer(), nullable=False),
        sa.Column("first_event", MOMENT, nullable=False),
        sa.Column("last_event", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_belief_day_due_sensor_id", "belief_day_due", ["sensor_id"])
    op.create_table(
        "belief_day_until",
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("timezone"),
    )
    # If TimescaleDB maintains the rollups, this view is replaced by one on its continuous aggregates.
    op.execute("create view belief_per_day as select * from belief_day")
    op.execute(FORGET_BELIEFS)
    op.execute(MOVE_DAYS)
    op.execute(MOVE_WITH_THE_SENSOR)
