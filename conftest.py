"""Fixtures for all tests of the workspace."""

pytest_plugins = ["database", "platforms", "quiet", "rabbitmq"]
