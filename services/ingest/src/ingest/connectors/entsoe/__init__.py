"""The kind `entsoe`: day-ahead prices and forecasts of ENTSO-E's Transparency Platform."""
