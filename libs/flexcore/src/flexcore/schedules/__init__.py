"""Schedules: accepting triggers, and the stored results."""
