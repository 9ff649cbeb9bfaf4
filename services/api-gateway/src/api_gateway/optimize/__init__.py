"""Self-contained optimisation problems: passed on to the scheduler, and turned into jobs if they take long."""
