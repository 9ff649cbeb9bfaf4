"""The steps from an empty database to the tables of `flexstore.tables`, run by `flexstore.migrate`."""
