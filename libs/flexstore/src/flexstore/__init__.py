"""The store of Flexmesh: tables, migrations, time series, jobs and outbox on PostgreSQL or TimescaleDB."""
