"""The tree of assets."""

from plants import Plant


def test_relatives(plant: Plant) -> None:
    tree = plant(2)
    assert tree.asset.name == "building"
    assert [asset.id for asset in tree.lineage(3)] == [3, 2, 1]
    assert [asset.id for asset in tree.ancestors(3)] == [2, 1]
    assert [asset.id for asset in tree.descendants(1)] == [2, 3, 4, 5, 6, 7]
    assert tree.descendants(9) == []


def test_sensors_of_the_asset(plant: Plant) -> None:
    assert plant(2).contains(30) and plant(2).contains(20)
    assert not plant(2).contains(90) and not plant(3).contains(20) and not plant(2).contains(999)


def test_attributes_are_looked_up_from_near_to_far(plant: Plant) -> None:
    tree = plant(
        flex_context={1: {"a": 6, "b": 6, "c": 6, "d": 6, "e": 6}, 3: {"a": 5, "b": 5, "c": 5, "d": 5}},
        flex_model={3: {"a": 4, "b": 4, "c": 4}},
        attributes={3: {"a": 3, "b": 3}},
        sensor_attributes={30: {"a": 2}},
    )
    sensor = tree.sensors[30]
    assert [tree.attribute(sensor, name) for name in "abcdef"] == [2, 3, 4, 5, 6, None]
    assert tree.attribute(sensor, "f", 7) == 7
    assert tree.asset_attribute(3, "a") == 3
    assert tree.asset_attribute(None, "a", 1) == tree.asset_attribute(999, "a", 1) == 1
