"""Users: the people and machines that log in."""
