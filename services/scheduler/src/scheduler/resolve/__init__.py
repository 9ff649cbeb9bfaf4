"""Resolving: a trigger and the series it refers to become a `Problem`."""
