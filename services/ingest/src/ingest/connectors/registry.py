"""All kinds of connectors there are, by name."""

from collections.abc import Mapping

from flexmodel.errors import NotFound

from ingest.connectors.http_json import HttpJson
from ingest.connectors.kinds import AnyKind, Puller

ALL: tuple[AnyKind, ...] = (HttpJson(),)
KINDS: Mapping[str, AnyKind] = {kind.name: kind for kind in ALL}
PULLED = [kind.name for kind in ALL if isinstance(kind, Puller)]
"""Those that run again and again."""


def kind_of(name: str) -> AnyKind:
    try:
        return KINDS[name]
    except KeyError:
        raise NotFound(f"There is no kind of connector named '{name}'. There are: {', '.join(KINDS)}.") from None
