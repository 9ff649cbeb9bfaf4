"""Fleets: many storages that meet in few rows, solved by following that structure."""
