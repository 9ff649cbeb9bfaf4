"""Browser sessions, by cookie."""
