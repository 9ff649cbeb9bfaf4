"""Flexmesh: the `flexmesh` command, and the platform in one process."""
