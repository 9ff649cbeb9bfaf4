"""Jobs, as their clients see them."""
