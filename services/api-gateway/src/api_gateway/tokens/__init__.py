"""Whatever a user is known by: login tokens, sessions and API keys."""
