"""The database tables, declared as SQLModel classes. They define the schema that the migrations build.

Rows are read and written with SQL through asyncpg: no code reads or writes rows with these classes. Every table class
is named after its rows with the suffix `Table` and states its table name, so that `JobTable` (the columns of the table
`job`) and `Job` (a job, as the rest of the code sees it) are two names. The test of the migrations compares these
classes with an upgraded database.
"""

from sqlmodel import SQLModel

from flexstore.tables import accounts, activities, assets, beliefs, connectors, jobs, requests

__all__ = ["SQLModel", "accounts", "activities", "assets", "beliefs", "connectors", "jobs", "requests"]
