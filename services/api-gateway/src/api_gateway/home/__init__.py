"""The front of the house: what there is, in which version, and whether it works."""
