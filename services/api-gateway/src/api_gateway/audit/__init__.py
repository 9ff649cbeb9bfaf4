"""The audit log: the record of changes."""
