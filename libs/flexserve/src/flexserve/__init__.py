"""What every Flexmesh service shares: settings, logs, traces, metrics, broker, errors, health, service tokens."""
