"""What messages refer to."""

from flexmodel.references import Named, assets_in, filters_in, sensors_in

PRICE = {"sensor": 3, "sources": [7, 8]}


def test_sensors_and_assets_are_found_however_deep() -> None:
    message = {
        "flex-model": [{"sensor": 1, "asset": 4}],
        "flex-context": {"inflexible-device-sensors": [2], "commitments": [{"baseline": PRICE}]},
    }
    assert sensors_in(message) == {1, 2, 3}
    assert assets_in(message) == {4}


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
    assert list(filters_in(message)) == [
        Named(9, True, ("soc-minima",)),
        Named(7, False, ("consumption-price",)),
        Named(8, False, ("consumption-price",)),
        Named(6, False, ("commitments", "0", "baseline")),
    ]
    assert list(filters_in({"consumption-price": PRICE})) == list(
        filters_in({"flex-context": {"consumption-price": PRICE}})
    )


def test_what_is_no_filter_is_left_to_those_who_read_the_message() -> None:
    for odd in ({"sources": [1]}, {"sensor": 1, "sources": ["x", True, None]}, [[1]], None, "sensor"):
        assert list(filters_in(odd)) == []
