"""Sessions: how browsers stay logged in."""
