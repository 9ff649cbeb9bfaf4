"""Charts of assets: their specification, data, annotations and figures."""
