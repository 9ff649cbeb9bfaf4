"""The tables. These classes define the schema; rows are read and written with SQL through asyncpg."""

from sqlmodel import SQLModel

from flexstore.tables import accounts, activities, assets, beliefs, connectors, jobs, requests

__all__ = ["SQLModel", "accounts", "activities", "assets", "beliefs", "connectors", "jobs", "requests"]
