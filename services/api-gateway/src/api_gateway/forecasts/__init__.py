"""Forecasts: triggers and results."""
