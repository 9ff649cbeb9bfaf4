"""`python -m flexmesh`: the same as the `flexmesh` command."""

from flexmesh.cli import app

app(prog_name="flexmesh")
