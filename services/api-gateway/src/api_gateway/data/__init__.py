"""The data of sensors: reading it here, and passing what is posted on to the ingest service."""
