"""Webhooks: URLs of an account to which activities are sent."""
