"""The tables. These classes define the schema; rows are read and written with SQL through asyncpg."""

from sqlmodel import SQLModel

from flexstore.tables import accounts, assets, beliefs, connectors, events, jobs, requests

__all__ = ["SQLModel", "accounts", "assets", "beliefs", "connectors", "events", "jobs", "requests"]
