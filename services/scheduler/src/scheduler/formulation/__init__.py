"""Formulation: from a problem to sparse matrices, with whole arrays over all devices and steps."""
