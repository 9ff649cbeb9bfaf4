"""Passwords and tokens: how users prove who they are."""
