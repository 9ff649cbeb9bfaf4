"""Schedules: triggers and results."""
