"""Sites, soft and hard limits, groups, couplings and commitments of a trigger."""

from collections.abc import Callable

import pytest
from flexmodel.errors import Invalid
from flexmodel.tree import AssetTree
from flexmodel.trigger import Commitment, Group, Node, Price, Site, Trigger
from flexmodel.values import Fixed, SensorReference
from plants import Json, TriggerParser

PRICE: Json = {"consumption-price": {"sensor": 20}}
SITE, DEVICE, ENERGY = Fixed(1e7), Fixed(1e5), Fixed(1e6)
NOTHING = Fixed(0.0)
TARGET = [{"datetime": "2026-03-02T07:00:00+01:00", "value": "50 kWh"}]
OFF_TICK = [{"datetime": "2026-03-02T07:03:00+01:00", "value": "50 kWh"}]
BOILER = {"sensor": 60, "commodity": "gas", "power-capacity": "10 kW"}
GROUPED_BATTERY = {"sensor": 30, "power-capacity": "2 kW", "group": {"sensor": 70}}
GROUPED_SUN = {"sensor": 40, "production-capacity": "2 kW", "group": {"sensor": 70}}
INVERTER = {"sensor": 70, "power-capacity": "2.5 kW", "consumption": {"sensor": 70}}
CONTRACT = {"name": "contract", "baseline": "15 kW", "up-price": "50 EUR/MWh", "down-price": "-1 EUR/kW"}
SUN = {"sensor": 40, "production-capacity": "2 kW", "group": {"asset": 7}}
LOAD = {"inflexible-consumption": [{"sensor": 24}]}
GROUP = {"asset": 7, "power-capacity": "2 kW"}


Planned = Callable[..., Trigger]
PricePair = tuple[Fixed | None, Fixed | None]


@pytest.fixture
def planned(parse: TriggerParser, battery: Json) -> Planned:
    """Parse a trigger for the battery, with additions to a flex-context that has a price."""

    def trigger(context: Json | None = None, entry: Json | None = None, tree: AssetTree | None = None) -> Trigger:
        return parse([battery | (entry or {})], PRICE | (context or {}), tree)

    return trigger


def test_the_connection_for_electricity(planned: Planned) -> None:
    [site] = planned(
        {
            "production-price": "40 EUR/MWh",
            "site-power-capacity": "100 kW",
            "site-consumption-capacity": {"sensor": 26},
            "site-peak-consumption": "12 kW",
            "site-peak-consumption-price": "260 EUR/MW",
            "aggregate-power": {"sensor": 27},
        }
    ).sites
    assert site == Site(
        commodity="electricity",
        consumption_price=SensorReference(20),
        production_price=Fixed(40.0),
        power_capacity=Fixed(0.1),
        consumption_capacity=SensorReference(26),
        consumption_breach_price=SITE,
        production_breach_price=SITE,
        peak_consumption=Fixed(0.012),
        peak_consumption_price=Fixed(260.0),
        aggregate_power=27,
    )


@pytest.mark.parametrize(
    ("context", "soc", "site", "device"),
    [
        ({}, (ENERGY, ENERGY), (SITE, SITE), (None, None)),
        ({"relax-constraints": False}, (None, None), (None, None), (None, None)),
        ({"relax-soc-constraints": False}, (None, None), (SITE, SITE), (None, None)),
        ({"relax-site-capacity-constraints": False}, (ENERGY, ENERGY), (None, None), (None, None)),
        ({"relax-constraints": False, "relax-soc-constraints": True}, (ENERGY, ENERGY), (None, None), (None, None)),
        ({"relax-capacity-constraints": True}, (ENERGY, ENERGY), (SITE, SITE), (DEVICE, DEVICE)),
        (
            {"relax-constraints": False, "soc-minima-breach-price": "1 EUR/kWh"},
            (Fixed(1000.0), None),
            (None, None),
            (None, None),
        ),
        (
            {"soc-maxima-breach-price": "0 EUR/kWh", "site-production-breach-price": "0 EUR/kW"},
            (ENERGY, NOTHING),
            (SITE, NOTHING),
            (None, None),
        ),
        (
            {"relax-capacity-constraints": True, "consumption-breach-price": "1 EUR/kW"},
            (ENERGY, ENERGY),
            (SITE, SITE),
            (Fixed(1000.0), None),
        ),
        ({"consumption-price": {"sensor": 23}}, (None, None), (None, None), (None, None)),
    ],
)
def test_soft_limits(planned: Planned, context: Json, soc: PricePair, site: PricePair, device: PricePair) -> None:
    trigger = planned(context, {"soc-targets": TARGET})
    [stock], [connection], [battery] = trigger.stocks, trigger.sites, trigger.devices
    assert (stock.minima_breach_price, stock.maxima_breach_price) == soc
    assert stock.targets_soft == (None not in soc)
    assert (connection.consumption_breach_price, connection.production_breach_price) == site
    assert (battery.consumption_breach_price, battery.production_breach_price) == device


def test_deprecated_price_fields_have_no_default_penalties(parse: TriggerParser, battery: Json) -> None:
    trigger = parse([battery], {"consumption-price-sensor": 20, "production-price-sensor": 21})
    [site] = trigger.sites
    assert (site.consumption_price, site.production_price) == (SensorReference(20), SensorReference(21))
    assert site.consumption_breach_price is None
    assert trigger.stocks[0].minima_breach_price is None


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ({"consumption-price-sensor": 20, "relax-constraints": True}, "relax-constraints"),
        ({"consumption-price-sensor": 20, "soc-minima-breach-price": "1 EUR/kWh"}, "soc-minima-breach-price"),
        ({"consumption-price-sensor": 20, "site-peak-consumption-price": "1 EUR/kW"}, "site-peak-consumption-price"),
        ({"consumption-price-sensor": 24}, "consumption-price-sensor"),
    ],
)
def test_deprecated_price_fields_stand_alone(parse: TriggerParser, battery: Json, context: Json, field: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse([battery], context)
    assert list(raised.value.fields) == [field]


def test_stored_relax_flags_do_not_disturb_deprecated_price_fields(parse: TriggerParser, battery: Json) -> None:
    tree = parse.plant(flex_context={2: {"relax-constraints": True}})
    assert parse([battery], {"consumption-price-sensor": 20}, tree).sites[0].consumption_price == SensorReference(20)


def test_limits_between_two_steps_are_soft_unless_forbidden(
    planned: Planned, parse: TriggerParser, battery: Json
) -> None:
    hard = {"relax-constraints": False}
    assert planned(hard, {"soc-targets": OFF_TICK}).stocks[0].targets_soft
    assert not planned(hard | {"relax-soc-constraints": False}, {"soc-targets": OFF_TICK}).stocks[0].targets_soft
    charger = {"sensor": 50, "soc-max": "50 kWh", "power-capacity": "11 kW", "soc-minima": TARGET}
    trigger = parse([battery | {"soc-targets": OFF_TICK}, charger], PRICE | hard, resolution="PT15M")
    assert [stock.targets_soft for stock in trigger.stocks] == [True, False]
    assert trigger.stocks[0].project_off_tick
    dropped = parse.plant(sensor_attributes={30: {"floor_datetimes_to_resolution": False}})
    assert not planned({}, {"soc-targets": OFF_TICK}, tree=dropped).stocks[0].project_off_tick


def gas(**fields: object) -> Json:
    names = {name.replace("_", "-"): value for name, value in fields.items()}
    return PRICE | {"commodities": [{"commodity": "gas", **names}]}


class TestCommodities:
    """Sites and nodes of other commodities, and their defaults."""

    @pytest.mark.parametrize(
        ("fields", "prices", "caps", "penalties"),
        [
            ({"consumption_price": "50 EUR/MWh"}, (Fixed(50.0), None), (None, NOTHING), (None, SITE)),
            ({"production_price": "50 EUR/MWh"}, (NOTHING, Fixed(50.0)), (NOTHING, None), (SITE, None)),
            ({"site_consumption_capacity": "1 kW"}, (NOTHING, None), (Fixed(0.001), NOTHING), (None, SITE)),
            ({"site_production_capacity": "1 kW"}, (NOTHING, NOTHING), (NOTHING, Fixed(0.001)), (SITE, None)),
            (
                {"consumption_price": "50 EUR/MWh", "site_production_capacity": "1 kW"},
                (Fixed(50.0), NOTHING),
                (None, Fixed(0.001)),
                (None, None),
            ),
            (
                {"consumption_price": "50 EUR/MWh", "site_power_capacity": "1 kW"},
                (Fixed(50.0), None),
                (None, NOTHING),
                (None, SITE),
            ),
            ({"site_power_capacity": "1 kW"}, (NOTHING, None), (None, None), (None, None)),
            (
                {"consumption_price": "50 EUR/MWh", "production_price": "9 EUR/MWh"},
                (Fixed(50.0), Fixed(9.0)),
                (None, None),
                (None, None),
            ),
            (
                {"site_consumption_capacity": "1 kW", "site_consumption_breach_price": "1 EUR/kW"},
                (NOTHING, None),
                (Fixed(0.001), NOTHING),
                (Fixed(1000.0), SITE),
            ),
            (
                {"consumption_price": "50 EUR/MWh", "relax_constraints": False},
                (Fixed(50.0), None),
                (None, NOTHING),
                (None, None),
            ),
        ],
    )
    def test_defaults(
        self, parse: TriggerParser, fields: Json, prices: PricePair, caps: PricePair, penalties: PricePair
    ) -> None:
        trigger = parse([BOILER], gas(**fields))
        [site] = trigger.sites
        assert site.commodity == "gas"
        assert (site.consumption_price, site.production_price) == prices
        assert (site.consumption_capacity, site.production_capacity) == caps
        assert (site.consumption_breach_price, site.production_breach_price) == penalties
        assert bool(trigger.warnings) == ("relax_constraints" in fields)

    def test_a_commodity_without_connection_balances(self, parse: TriggerParser) -> None:
        assert parse([BOILER], PRICE).nodes == (Node("gas"),)
        trigger = parse([BOILER], gas())
        assert (trigger.sites, trigger.nodes) == ((), (Node("gas"),))

    def test_only_commodities_that_devices_have(self, parse: TriggerParser, battery: Json) -> None:
        trigger = parse([BOILER, battery], gas(consumption_price="5 EUR/MWh"))
        assert [site.commodity for site in trigger.sites] == ["electricity", "gas"]
        assert trigger.of_commodity("gas") == (0,)
        assert [site.commodity for site in parse([BOILER], gas(consumption_price="5 EUR/MWh")).sites] == ["gas"]
        assert parse([]).sites == ()

    def test_electricity_as_one_of_several(self, parse: TriggerParser, battery: Json) -> None:
        tree = parse.plant(flex_context={2: PRICE | {"site-power-capacity": "5 kW", "aggregate-power": {"sensor": 27}}})
        trigger = parse([battery], [{"commodity": "electricity", "consumption-price": "5 EUR/MWh"}], tree)
        [site] = trigger.sites
        assert (site.consumption_price, site.power_capacity, site.aggregate_power) == (Fixed(5.0), None, 27)
        assert site.production_capacity == NOTHING
        assert trigger.stocks[0].minima_breach_price == ENERGY
        assert trigger.warnings == ()

    def test_electricity_described_twice(self, parse: TriggerParser, battery: Json) -> None:
        context = PRICE | {"commodities": [{"commodity": "electricity", "consumption-price": "5 EUR/MWh"}]}
        trigger = parse([battery], context)
        assert trigger.sites[0].consumption_price == Fixed(5.0)
        assert "beside `commodities` are not used" in trigger.warnings[0]


class TestGroups:
    """Devices behind one connection inside the site."""

    def test_a_group_is_not_a_device(self, parse: TriggerParser) -> None:
        trigger = parse([INVERTER, GROUPED_BATTERY, GROUPED_SUN, {"sensor": 60, "power-capacity": "1 kW"}])
        assert [device.sensor for device in trigger.devices] == [30, 40, 60]
        assert trigger.groups == (
            Group("sensor:70", (0, 1), Fixed(0.0025), None, None, 1e7, sensor=70, consumption_output=70),
        )

    def test_groups_by_asset_inside_groups(self, parse: TriggerParser) -> None:
        outer = {"asset": 7, "consumption-capacity": "9 kW"}
        inner = INVERTER | {"group": {"asset": 7}}
        load = {"inflexible-consumption": {"sensor": 24}, "group": {"asset": 7}}
        trigger = parse([outer, inner, GROUPED_BATTERY, load, {"sensor": 60, "power-capacity": "1 kW"}])
        assert {group.name: group.members for group in trigger.groups} == {"asset:7": (0, 2), "sensor:70": (0,)}

    def test_stored_groups(self, parse: TriggerParser) -> None:
        stored: dict[int, Json] = {7: {"power-capacity": "2 kW"}, 3: {"power-capacity": "1 kW", "group": {"asset": 7}}}
        trigger = parse([{"sensor": 30}], tree=parse.plant(flex_model=stored))
        assert [group.name for group in trigger.groups] == ["asset:7"]
        assert [device.sensor for device in trigger.devices] == [30]

    @pytest.mark.parametrize(
        ("entries", "field", "sentence"),
        [
            ([GROUPED_BATTERY], "group", "There is no entry for sensor 70"),
            (
                [GROUPED_BATTERY, {"sensor": 70, "power-capacity": "1 kW", "soc-max": "1 kWh"}],
                "soc-max",
                "no such field",
            ),
            ([GROUPED_BATTERY, {"sensor": 70}], "power-capacity", "at least one capacity"),
            ([GROUPED_BATTERY, {"sensor": 70, "duration": "PT1H", "power": 1}], "group", "is a process"),
            (
                [GROUPED_BATTERY, INVERTER, {**GROUPED_SUN, "commodity": "heat"}],
                "group",
                "mixes commodities: electricity, heat",
            ),
            ([{**INVERTER, "group": {"sensor": 70}}], "group", "contains itself"),
            (
                [
                    {**GROUPED_BATTERY, "group": {"asset": 7}},
                    {"sensor": 70, "asset": 7, "power-capacity": "1 kW"},
                ],
                "group",
                "must have no sensor",
            ),
            (
                [INVERTER, {"state-of-charge": {"sensor": 31}, "group": {"sensor": 70}}],
                "group",
                "has no devices",
            ),
        ],
    )
    def test_invalid_groups(self, parse: TriggerParser, entries: list[Json], field: str, sentence: str) -> None:
        with pytest.raises(Invalid) as raised:
            parse(entries)
        assert sentence in str(raised.value.fields[field])


class TestConverters:
    """Couplings: the ports of one converter."""

    @staticmethod
    def port(sensor: int, coefficient: float, **capacities: str) -> Json:
        named = {f"{direction}-capacity": capacity for direction, capacity in capacities.items()}
        return {
            "sensor": sensor,
            "coupling": "chp",
            "coupling-coefficient": coefficient,
            "power-capacity": "9 kW",
            **named,
        }

    def test_the_capacities_tell_the_direction(self, parse: TriggerParser, battery: Json) -> None:
        trigger = parse(
            [
                self.port(61, 1.0, consumption="20 kW"),
                battery,
                self.port(60, 0.5, production="0 kW"),
                self.port(40, 0.3, consumption="0 kW", production="5 kW"),
            ]
        )
        [converter] = trigger.couplings
        assert (converter.name, converter.devices, converter.coefficients) == ("chp", (0, 2, 3), (1.0, 0.5, -0.3))

    @pytest.mark.parametrize(
        "capacities", [{}, {"consumption": "1 kW", "production": "1 kW"}, {"consumption": "0 kW", "production": "0 kW"}]
    )
    def test_the_direction_must_be_clear(self, parse: TriggerParser, capacities: dict[str, str]) -> None:
        with pytest.raises(Invalid) as raised:
            parse([self.port(61, 1.0, **capacities)])
        assert list(raised.value.fields) == ["coupling"]


class TestCommitments:
    """Baselines, and prices for deviating from them."""

    def members(self, parse: TriggerParser, battery: Json, **scope: object) -> Trigger:
        context = PRICE | LOAD | {"commitments": [CONTRACT | scope]}
        heat = {"sensor": 60, "commodity": "heat", "power-capacity": "1 kW"}
        return parse([battery, heat, SUN, GROUP], context)

    def test_it_concerns_all_devices_of_its_commodity(self, parse: TriggerParser, battery: Json) -> None:
        assert self.members(parse, battery).commitments == (
            Commitment(
                "contract",
                "electricity",
                (0, 2, 3),
                Fixed(0.015),
                Price(Fixed(50.0), "MWh"),
                Price(Fixed(-1000.0), "MW"),
            ),
        )

    @pytest.mark.parametrize(
        ("scope", "commodity", "members"),
        [
            ({"sensors": [40]}, "electricity", (2,)),
            ({"sensors": [30, 24]}, "electricity", (0, 3)),
            ({"sensors": [60]}, "heat", (1,)),
            ({"group": {"asset": 7}}, "electricity", (2,)),
            ({"commodity": "heat"}, "heat", (1,)),
        ],
    )
    def test_scope(
        self, parse: TriggerParser, battery: Json, scope: Json, commodity: str, members: tuple[int, ...]
    ) -> None:
        [commitment] = self.members(parse, battery, **scope).commitments
        assert (commitment.commodity, commitment.members) == (commodity, members)

    def test_one_that_concerns_no_device_is_left_out(self, parse: TriggerParser, battery: Json) -> None:
        trigger = self.members(parse, battery, sensors=[50])
        assert trigger.commitments == ()
        assert "'contract' concerns none" in trigger.warnings[0]

    def test_it_concerns_one_commodity_only(self, parse: TriggerParser, battery: Json) -> None:
        with pytest.raises(Invalid) as raised:
            self.members(parse, battery, sensors=[30, 60])
        assert list(raised.value.fields) == ["commitments"]

    def test_commitments_of_a_commodity(self, parse: TriggerParser, battery: Json) -> None:
        heat = {"commodity": "heat", "consumption-price": "1 EUR/MWh", "commitments": [CONTRACT]}
        trigger = parse(
            [{"sensor": 60, "commodity": "heat", "power-capacity": "1 kW"}, battery], PRICE | {"commodities": [heat]}
        )
        assert [(one.commodity, one.members) for one in trigger.commitments] == [("heat", (0,))]
