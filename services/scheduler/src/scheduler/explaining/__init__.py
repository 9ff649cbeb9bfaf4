"""Explaining: why a schedule is what it is, in words and numbers."""
