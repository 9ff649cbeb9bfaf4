"""API keys for gateways, dashboards and other machines."""
