"""Problems that bring everything along: answered at once, without any asset, sensor or stored value."""
