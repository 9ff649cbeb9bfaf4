"""Data of sensors. Posted values are passed on to the ingest service."""
