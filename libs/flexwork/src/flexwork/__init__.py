"""Jobs and how they are run: job table, runner, outbox, relay, broker, worker, beat and upkeep."""
