"""Series of many sensors posted in one message, and stored together."""
