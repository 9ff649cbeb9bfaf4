"""What Flexmesh derives or tells: reports, forecasts, webhook delivery."""
