"""Users: people and machines that log in."""
