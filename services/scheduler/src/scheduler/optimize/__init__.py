"""Optimisation of self-contained problems: solved at once, without any stored asset, sensor or value."""
