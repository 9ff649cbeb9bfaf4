"""Why schedules are as they are."""
