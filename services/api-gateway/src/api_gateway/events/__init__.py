"""Activities of the platform as server-sent events."""
