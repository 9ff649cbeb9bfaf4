"""Webhooks: addresses of an account to which notifications are sent."""
