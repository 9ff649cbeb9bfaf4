"""Passwords: chosen through a mailed link, and changed."""
