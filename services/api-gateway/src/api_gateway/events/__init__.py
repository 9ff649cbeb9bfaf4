"""Server-sent events: what happens on the platform, while clients listen."""
