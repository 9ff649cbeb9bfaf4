"""Notifications: what leaves the platform, to webhooks and by mail."""
