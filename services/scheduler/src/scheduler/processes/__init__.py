"""Processes: runs of constant power and fixed duration, planned on the price alone."""
