"""Charts of an asset: what they show, and the data, annotations and figures in them."""
