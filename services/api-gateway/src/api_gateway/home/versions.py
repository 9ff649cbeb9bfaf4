"""Versions of the API, of the compatible release of FlexMeasures, and of Flexmesh."""

from importlib.metadata import version

API_VERSION = "v3_0"
COMPATIBLE_VERSION = "1.0.1"
"""The release of FlexMeasures with this API, by which its clients choose their requests."""
OWN_VERSION = version("flexmesh-api-gateway")
SUNSET_VERSIONS = ("v1", "v1_1", "v1_2", "v1_3", "v2_0")
SUNSET_PATHS = {"v1": ("getService", "getMeterData", "postMeterData")}
"""The paths that are gone of versions whose prefix is used again. Of other versions all paths are gone."""
DOCUMENTATION = "https://flexmeasures.readthedocs.io"
