"""Uploads of files with values of one or many sensors."""
