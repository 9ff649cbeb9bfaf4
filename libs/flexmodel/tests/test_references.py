"""References in messages and configurations."""

from flexmodel.references import SourceFilter, referenced_assets, referenced_sensors, source_filters

PRICE = {"sensor": 3, "sources": [7, 8]}


def test_sensors_and_assets_are_found_however_deep() -> None:
    message = {
        "flex-model": [{"sensor": 1, "asset": 4}],
        "flex-context": {"inflexible-device-sensors": [2], "commitments": [{"baseline": PRICE}]},
    }
    assert referenced_sensors(message) == {1, 2, 3}
    assert referenced_assets(message) == {4}


def test_only_whole_numbers_under_keys_of_sensors_are_references() -> None:
    document = {
        "consumption-price": {"sensor": 1, "default": "5 EUR/MWh"},
        "consumption-price-sensor": 2,
        "inflexible-device-sensors": [3, 4],
        "inflexible-consumption": [{"sensor": 5}],
        "commodities": [{"commitments": [{"baseline": {"sensor": 6}, "sensors": [10, True]}]}],
        "soc-max": 7,
        "sensor": "8",
        "sensors": True,
        "other": {"sensor": {"sensor": 9}},
    }
    assert referenced_sensors(document) == {1, 2, 3, 4, 5, 6, 9, 10}


def test_filters_are_found_with_the_place_that_refusals_name() -> None:
    minima = {"sensor": 5, "source-account": [9], "source-types": ["user"]}
    message = {
        "start": "2026-03-02T00:00Z",
        "flex-model": [{"sensor": 1, "soc-minima": minima}],
        "flex-context": {
            "consumption-price": PRICE,
            "commitments": [{"name": "x", "baseline": {"sensor": 3, "source": 6}}],
        },
    }
    assert list(source_filters(message)) == [
        SourceFilter(9, True, ("soc-minima",)),
        SourceFilter(7, False, ("consumption-price",)),
        SourceFilter(8, False, ("consumption-price",)),
        SourceFilter(6, False, ("commitments", "0", "baseline")),
    ]
    assert list(source_filters({"consumption-price": PRICE})) == list(
        source_filters({"flex-context": {"consumption-price": PRICE}})
    )


def test_what_is_no_filter_is_left_to_those_who_read_the_message() -> None:
    for odd in ({"sources": [1]}, {"sensor": 1, "sources": ["x", True, None]}, [[1]], None, "sensor"):
        assert list(source_filters(odd)) == []
