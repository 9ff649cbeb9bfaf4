"""Fleets: many stocks that meet in few rows, solved by following that structure."""
