"""Connectors: prices, weather and measurements that are fetched or received from outside."""
