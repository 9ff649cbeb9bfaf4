"""The primary key of beliefs includes their values, so that series are read by index-only scans."""

from alembic import op

revision = "0012"
down_revision = "0011"

# Index-only scans need pages that vacuum has visited. By default, that waits until a fifth of the table is new.
SEEN_SOONER = "alter table belief set (autovacuum_vacuum_insert_scale_factor = 0.01)"

# TimescaleDB does not allow a change of the key once compression is enabled; compressed values are fast without it.
CARRY_VALUES = """
do $$
declare
    compressible bool := false;
begin
    if to_regclass('timescaledb_information.hypertables') is not null then
        execute $sql$
            select coalesce(bool_or(compression_enabled), false) from timescaledb_information.hypertables
            where hypertable_name = 'belief'
        $sql$ into compressible;
    end if;
    if not compressible then
        alter table belief drop constraint belief_pkey;
        alter table belief add primary key (sensor_id, event_start, belief_time, source_id, cumulative_probability)
            include (event_value);
    end if;
end $$
"""


def upgrade() -> None:
    op.execute(CARRY_VALUES)
    op.execute(SEEN_SOONER)
