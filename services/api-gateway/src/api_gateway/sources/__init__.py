"""Sources: who or what recorded data."""
