"""Jobs, as those who asked for them see them."""
