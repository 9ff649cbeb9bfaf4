"""Ingest service: stores measured data from posts, batches, uploaded files and connectors."""
