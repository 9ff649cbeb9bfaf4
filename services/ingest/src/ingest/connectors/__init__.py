"""Connectors: prices, weather and measurements that are fetched from elsewhere and kept flowing."""
