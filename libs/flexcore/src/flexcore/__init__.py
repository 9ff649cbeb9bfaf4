"""The rules of accounts, users, assets, sensors, sources, keys and audit, and the permission policy, with their SQL."""
