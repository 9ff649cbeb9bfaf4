"""Fixtures for all tests of the workspace."""

pytest_plugins = ["database", "markers", "platforms", "quiet", "rabbitmq", "sites"]
