"""Tables, migrations and time series of Flexmesh, on PostgreSQL or TimescaleDB."""
