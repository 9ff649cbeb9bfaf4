"""Login tokens, sessions and API keys of a user."""
