"""Running the solver and making sure of its answer."""
