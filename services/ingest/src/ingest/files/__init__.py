"""Files of values uploaded to a sensor."""
