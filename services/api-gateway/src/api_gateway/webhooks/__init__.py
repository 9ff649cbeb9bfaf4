"""Webhooks: addresses of an account that are told what happens."""
