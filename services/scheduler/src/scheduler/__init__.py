"""Formulates, solves and explains schedules."""
