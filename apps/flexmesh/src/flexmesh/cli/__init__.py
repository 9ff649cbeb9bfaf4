"""The `flexmesh` command. A command imports what it needs when it runs, so that help comes at once."""

from flexmesh.cli.main import app

__all__ = ["app"]
