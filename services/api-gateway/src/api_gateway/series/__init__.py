"""Series of one sensor or of many: posted together, and read as JSON, CSV, Parquet or Arrow, however long they are."""
