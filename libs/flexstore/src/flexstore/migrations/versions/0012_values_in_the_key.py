"""The key of beliefs carries their values, so that series are read from it alone, wherever their rows lie."""

from alembic import op

revision = "0012"
down_revision = "0011"

# Reading from the key alone needs pages that vacuum has seen. By default that waits for a fifth of the table to be new.
SEEN_SOONER = "alter table belief set (autovacuum_vacuum_insert_scale_factor = 0.01)"

# TimescaleDB lets nobody change the key once it may compress; it reads compressed values well enough without.
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
