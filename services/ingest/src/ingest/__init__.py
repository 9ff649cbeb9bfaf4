"""The only writer of measured data in Flexmesh."""
