"""The tree of an asset: the asset, its relatives and their sensors, as plain data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class TreeSensor:
    """A sensor, without its data. `resolution` zero means instantaneous."""

    id: int
    name: str
    asset_id: int
    account_id: int | None
    unit: str
    resolution: timedelta
    timezone: str = "UTC"
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TreeAsset:
    """An asset with its stored configuration. `flex_context` and `flex_model` are as stored: field name to value."""

    id: int
    name: str
    parent_id: int | None
    account_id: int | None
    asset_type: str
    attributes: Mapping[str, object] = field(default_factory=dict)
    flex_model: Mapping[str, object] = field(default_factory=dict)
    flex_context: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AssetTree:
    """An asset, its ancestors and descendants, the sensors of all but the ancestors, and all sensors they refer to."""

    asset_id: int
    assets: Mapping[int, TreeAsset]
    sensors: Mapping[int, TreeSensor]

    @property
    def asset(self) -> TreeAsset:
        return self.assets[self.asset_id]

    def lineage(self, asset_id: int) -> Iterator[TreeAsset]:
        """Yield an asset, then its ancestors, nearest first."""
        asset = self.assets.get(asset_id)
        while asset is not None:
            yield asset
            asset = None if asset.parent_id is None else self.assets.get(asset.parent_id)

    def ancestors(self, asset_id: int) -> list[TreeAsset]:
        """Return the ancestors of an asset, nearest first."""
        return list(self.lineage(asset_id))[1:]

    def descendants(self, asset_id: int) -> list[TreeAsset]:
        """Return the descendants of an asset, parents before their children, by id within a level."""
        children: dict[int | None, list[TreeAsset]] = {}
        for asset in sorted(self.assets.values(), key=lambda asset: asset.id):
            children.setdefault(asset.parent_id, []).append(asset)
        found: list[TreeAsset] = []
        level = children.get(asset_id, [])
        while level:
            found += level
            below = [child for asset in level for child in children.get(asset.id, [])]
            level = sorted(below, key=lambda asset: asset.id)
        return found

    def contains_asset(self, asset_id: int) -> bool:
        """Return whether an asset is the one in question or one of its descendants."""
        return any(asset.id == self.asset_id for asset in self.lineage(asset_id))

    def contains(self, sensor_id: int) -> bool:
        """Return whether a sensor belongs to the asset in question or to one of its descendants."""
        sensor = self.sensors.get(sensor_id)
        return sensor is not None and self.contains_asset(sensor.asset_id)

    def attribute(self, sensor: TreeSensor, name: str, default: object = None) -> object:
        """Return an attribute of a sensor: its own, else that of its asset."""
        if sensor.attributes.get(name) is not None:
            return sensor.attributes[name]
        return self.asset_attribute(sensor.asset_id, name, default)

    def asset_attribute(self, asset_id: int | None, name: str, default: object = None) -> object:
        """Return an attribute of an asset: its own, else its flex-model's, else the nearest flex-context's."""
        asset = None if asset_id is None else self.assets.get(asset_id)
        if asset is None:
            return default
        contexts = [relative.flex_context for relative in self.lineage(asset.id)]
        return next(
            (place[name] for place in [asset.attributes, asset.flex_model, *contexts] if name in place), default
        )
