"""From a problem to sparse matrices: one module for each family of constraints, each over all devices and steps at
once."""
