"""Values posted to a sensor, from the message to the rows."""
