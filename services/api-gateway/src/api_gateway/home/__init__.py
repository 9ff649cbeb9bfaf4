"""The landing page, the versions of the API, and its health."""
