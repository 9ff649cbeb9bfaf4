"""Forecasts: asking for one, and reading what came of it."""
