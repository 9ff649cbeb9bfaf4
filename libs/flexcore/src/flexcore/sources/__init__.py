"""Data sources: users, schedulers, forecasters and connectors."""
