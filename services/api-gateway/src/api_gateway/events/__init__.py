"""Telling clients what happens, while they listen."""
