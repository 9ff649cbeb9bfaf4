"""Annotations: remarks about a period of an account, an asset or a sensor."""
