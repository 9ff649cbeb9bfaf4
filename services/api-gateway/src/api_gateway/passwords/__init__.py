"""Passwords: choosing one through a mailed link, and changing it."""
