"""Flexmesh: when should each flexible asset run? The command, and the platform in one process."""
