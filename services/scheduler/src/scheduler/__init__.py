"""The scheduler: resolves triggers, formulates, solves and explains schedules."""
