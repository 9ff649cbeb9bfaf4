"""The data of sensors: values are read here, and posted ones are passed on to the ingest service."""
