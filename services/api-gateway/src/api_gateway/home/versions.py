"""Versions: of the API we speak, of the server whose clients we serve, and of Flexmesh itself."""

from importlib.metadata import version

API_VERSION = "v3_0"
COMPATIBLE_VERSION = "1.0.1"
"""The release of the reference whose API this is; clients decide by it what they may ask for."""
OWN_VERSION = version("flexmesh-api-gateway")
SUNSET_VERSIONS = ("v1", "v1_1", "v1_2", "v1_3", "v2_0")
SUNSET_PATHS = {"v1": ("getService", "getMeterData", "postMeterData")}
"""What was there in a version whose place something else has now; in the other versions, everything is gone."""
DOCUMENTATION = "https://flexmeasures.readthedocs.io"
