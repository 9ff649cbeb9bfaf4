"""The HTTP side of every Flexmesh service: application, errors, middlewares, settings, logs, traces and metrics."""
