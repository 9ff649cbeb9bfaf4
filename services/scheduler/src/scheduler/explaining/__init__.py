"""Saying in words and numbers why a schedule is what it is, or why there is none."""
