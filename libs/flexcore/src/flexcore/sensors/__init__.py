"""Sensors: one series of values each."""
