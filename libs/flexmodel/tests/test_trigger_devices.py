"""Devices, stocks and inflexible devices of a trigger."""

from datetime import UTC, datetime, timedelta

import pytest
from flexmodel.errors import Invalid
from flexmodel.problem import ProcessType
from flexmodel.tree import AssetTree
from flexmodel.trigger import Process, StateReference
from flexmodel.values import Fixed, Segments, SensorReference, VariableQuantity
from plants import Json, Plant, TriggerParser

HOUR = timedelta(hours=1)
SOLAR = {"sensor": 40, "consumption-capacity": "0 kW", "production-capacity": {"sensor": 41}}
ENTRY = {"sensor": 30, "power-capacity": "1 kW"}
PUMP = {"sensor": 61, "state-of-charge": {"sensor": 62}, "power-capacity": "5 kW", "charging-efficiency": "300%"}
HEATER = {"sensor": 60, "state-of-charge": {"sensor": 62}, "power-capacity": "15 kW"}
BUFFER = {
    "state-of-charge": {"sensor": 62},
    "soc-at-start": "20 kWh",
    "soc-max": "22 kWh",
    "soc-usage": ["4 kW"],
    "prefer-charging-sooner": False,
}


def test_a_battery(parse: TriggerParser, battery: Json) -> None:
    trigger = parse([{**battery, "state-of-charge": {"sensor": 31}}])
    [device], [stock] = trigger.devices, trigger.stocks
    assert (device.label, device.asset_id, device.sensor, device.stock) == ("battery", 3, 30, 0)
    assert device.power_capacity == Fixed(0.02) and device.fallback_capacity is None
    assert device.charging_efficiency == device.discharging_efficiency == Fixed(0.9)
    assert (stock.initial, stock.soc_min, stock.soc_max) == (Fixed(0.02), Fixed(0.005), Fixed(0.09))
    assert (stock.sensor, stock.devices, stock.asset_id, stock.percent_of) == (31, (0,), 3, 0.09)
    assert trigger.referenced_sensors() == {20}
    assert trigger.output_sensors() == {30, 31}


def test_trigger_on_a_sensor(parse: TriggerParser, battery: Json, plant: Plant) -> None:
    del battery["sensor"]
    tree = plant(3, flex_model={3: {"soc-max": "50 kWh", "storage-efficiency": "99%"}})
    [device] = parse(battery, tree=tree, sensor_id=30).devices
    assert device.sensor == 30
    [stock] = parse(battery, tree=tree, sensor_id=30).stocks
    assert (stock.soc_max, stock.storage_efficiency) == (Fixed(0.09), Fixed(0.99))


def test_solar_roof_has_no_stock(parse: TriggerParser) -> None:
    trigger = parse([SOLAR])
    assert trigger.stocks == ()
    assert trigger.devices[0].stock is None
    assert trigger.devices[0].production_capacity == SensorReference(41)
    assert trigger.referenced_sensors() == {20, 41}


def test_stored_devices_come_first(parse: TriggerParser, battery: Json, plant: Plant) -> None:
    tree = plant(flex_model={4: {k: v for k, v in SOLAR.items() if k != "sensor"}, 5: {"power-capacity": "1 kW"}})
    trigger = parse([battery], tree=tree)
    assert [(device.asset_id, device.sensor) for device in trigger.devices] == [(4, None), (5, None), (3, 30)]
    assert trigger.stocks[0].devices == (2,)


def test_sequential_trigger_plans_only_passed_devices(parse: TriggerParser, battery: Json, plant: Plant) -> None:
    tree = plant(flex_model={5: {"power-capacity": "1 kW"}})
    trigger = parse([battery], tree=tree, sequential=True)
    assert trigger.sequential
    assert [device.sensor for device in trigger.devices] == [30]


def test_labels_of_devices_on_one_asset(parse: TriggerParser) -> None:
    trigger = parse([{"sensor": 60, "power-capacity": "1 kW"}, {"sensor": 61, "power-capacity": "1 kW"}])
    assert [device.label for device in trigger.devices] == ["boiler: heat", "boiler: electric power"]


class TestCapacities:
    """Sources of a power capacity for an entry that has none."""

    def fallback(
        self, parse: TriggerParser, entry: Json, context: Json | None = None, tree: AssetTree | None = None
    ) -> VariableQuantity | None:
        trigger = parse([{"sensor": 30, **entry}], {"consumption-price": {"sensor": 20}, **(context or {})}, tree)
        return trigger.devices[0].fallback_capacity

    def test_an_attribute_in_megawatts(self, parse: TriggerParser) -> None:
        assert self.fallback(parse, {}, tree=parse.plant(attributes={3: {"capacity_in_mw": 0.5}})) == Fixed(0.5)

    def test_the_stored_capacity_of_the_site(self, parse: TriggerParser) -> None:
        stored = {1: {"site-power-capacity": "2 MVA"}}
        assert self.fallback(
            parse, {}, tree=parse.plant(flex_context=stored), context={"site-power-capacity": "9 kW"}
        ) == Fixed(2.0)

    def test_a_sensor_stays_a_sensor(self, parse: TriggerParser) -> None:
        stored = {2: {"site-power-capacity": {"sensor": 26}}}
        assert self.fallback(parse, {}, tree=parse.plant(flex_context=stored)) == SensorReference(26)

    def test_the_capacity_that_the_message_gives_the_site(self, parse: TriggerParser) -> None:
        assert self.fallback(parse, {}, context={"site-power-capacity": "9 kW"}) == Fixed(0.009)

    def test_directional_capacities_suffice(self, parse: TriggerParser) -> None:
        assert self.fallback(parse, {"consumption-capacity": "1 kW"}) is None
        assert self.fallback(parse, {"consumption-capacity": "0 kW", "production-capacity": "0 kW"}) is None

    def test_a_single_zero_defines_no_power(self, parse: TriggerParser) -> None:
        with pytest.raises(Invalid) as raised:
            self.fallback(parse, {"consumption-capacity": "0 kW"})
        assert list(raised.value.fields) == ["power-capacity"]

    def test_stored_capacity_must_be_a_power(self, parse: TriggerParser) -> None:
        with pytest.raises(Invalid) as raised:
            self.fallback(parse, {}, tree=parse.plant(attributes={3: {"site-power-capacity": "2 kWh"}}))
        assert list(raised.value.fields) == ["site-power-capacity"]

    def test_attributes_close_directions(self, parse: TriggerParser) -> None:
        closed = {30: {"is_consumer": True, "is_producer": False}}
        [device] = parse([{"sensor": 30, "power-capacity": "1 kW"}], tree=parse.plant(sensor_attributes=closed)).devices
        assert device.may_consume and not device.may_produce
        closed = {30: {"is_producer": True, "is_consumer": False}}
        [device] = parse([{"sensor": 30, "power-capacity": "1 kW"}], tree=parse.plant(sensor_attributes=closed)).devices
        assert device.may_produce and not device.may_consume
        [device] = parse(
            [{"sensor": 30, "power-capacity": "1 kW"}], tree=parse.plant(sensor_attributes={30: {"is_consumer": True}})
        ).devices
        assert device.may_consume and device.may_produce


class TestInitialState:
    """Sources of the state of charge at the start."""

    def initial(
        self, parse: TriggerParser, entry: Json, tree: AssetTree | None = None
    ) -> Fixed | StateReference | None:
        stocks = parse([ENTRY | entry], tree=tree).stocks
        return stocks[0].initial if stocks else None

    def test_unknown(self, parse: TriggerParser) -> None:
        assert self.initial(parse, {}) is None
        assert self.initial(parse, {"prefer-charging-sooner": False, "soc-usage": ["1 kW"]}) is None

    def test_zero_with_an_absolute_limit(self, parse: TriggerParser) -> None:
        assert self.initial(parse, {"soc-max": "5 kWh"}) == Fixed(0.0)

    def test_a_sensor(self, parse: TriggerParser) -> None:
        assert self.initial(parse, {"state-of-charge": {"sensor": 31}}) == StateReference(31, HOUR)
        assert self.initial(parse, {"soc-at-start": {"sensor": 31}}) == StateReference(31, HOUR)
        given = {"state-of-charge": {"sensor": 31}, "soc-at-start": 4}
        assert self.initial(parse, given) == Fixed(0.004)

    @pytest.mark.parametrize(
        ("items", "energy"),
        [
            ([("2026-03-01T23:00+01:00", "PT2H", 5), ("2026-03-01T23:30+01:00", "PT2H", 6)], 0.006),
            ([("2026-03-01T22:00+01:00", "PT90M", 5), ("2026-03-02T00:45+01:00", "PT2H", 6)], 0.005),
        ],
    )
    def test_values_over_time(self, parse: TriggerParser, items: list[tuple[str, str, float]], energy: float) -> None:
        states = [{"start": start, "duration": length, "value": value} for start, length, value in items]
        assert self.initial(parse, {"state-of-charge": states}) == Fixed(energy)

    def test_values_from_another_time(self, parse: TriggerParser) -> None:
        states = [{"start": "2026-03-01T12:00+01:00", "duration": "PT2H", "value": 5}]
        with pytest.raises(Invalid) as raised:
            self.initial(parse, {"state-of-charge": states})
        assert "No recent state-of-charge value" in raised.value.message
        assert raised.value.where == "message"

    def test_attributes_of_the_start(self, parse: TriggerParser) -> None:
        known = {"soc_in_mwh": 0.0123, "soc_datetime": "2026-03-01T23:00:00+00:00"}
        assert self.initial(parse, {}, tree=parse.plant(attributes={3: known})) == Fixed(0.0123)
        known["soc_datetime"] = "2026-03-01T22:00:00+00:00"
        assert self.initial(parse, {"soc-max": "5 kWh"}, tree=parse.plant(attributes={3: known})) == Fixed(0.0)


class TestStocks:
    """Stocks, above all shared ones."""

    def test_devices_with_one_sensor_share_a_stock(self, parse: TriggerParser, battery: Json) -> None:
        trigger = parse([battery, PUMP, BUFFER, {**HEATER, "soc-usage": ["1 kW"], "soc-min": "2 kWh"}])
        assert [device.stock for device in trigger.devices] == [0, 1, 1]
        stock = trigger.stocks[1]
        assert (stock.devices, stock.sensor) == ((1, 2), 62)
        assert (stock.initial, stock.soc_min, stock.soc_max) == (Fixed(0.02), Fixed(0.002), Fixed(0.022))
        assert set(stock.soc_usage) == {Fixed(0.001), Fixed(0.004)}
        assert not stock.prefer_charging_sooner and stock.prefer_curtailing_later

    def test_only_one_entry_describes_it(self, parse: TriggerParser) -> None:
        with pytest.raises(Invalid) as raised:
            parse([PUMP, {**HEATER, "soc-max": "30 kWh"}, BUFFER])
        assert "`soc-max` of the stock kept by sensor 62" in raised.value.message
        assert raised.value.where == "message"

    def test_entries_may_agree(self, parse: TriggerParser) -> None:
        assert parse([PUMP, {**HEATER, "soc-max": "22 kWh"}, BUFFER]).stocks[0].soc_max == Fixed(0.022)

    def test_a_stock_without_devices_is_not_planned(self, parse: TriggerParser) -> None:
        assert parse([BUFFER]).stocks == ()

    def test_efficiency_counts_over_the_steps_of_its_sensor(self, parse: TriggerParser, battery: Json) -> None:
        [stock] = parse([{**battery, "storage-efficiency": {"sensor": 32, "default": "99%"}}]).stocks
        assert stock.efficiency_resolution == timedelta(minutes=15)
        assert stock.storage_efficiency == SensorReference(32, default=0.99)
        over_time = [{"start": "2026-03-02T07:00+01:00", "duration": "PT1H", "value": "99%"}]
        [stock] = parse([{**battery, "storage-efficiency": over_time}], resolution="PT1H").stocks
        assert stock.efficiency_resolution == timedelta(minutes=15)
        assert isinstance(stock.storage_efficiency, Segments)

    def test_efficiency_without_any_sensor(self, parse: TriggerParser) -> None:
        with pytest.raises(Invalid) as raised:
            parse([{"asset": 3, "power-capacity": "1 kW", "soc-max": "1 kWh", "storage-efficiency": "99%"}])
        assert list(raised.value.fields) == ["storage-efficiency"]

    def test_percent_of_an_attribute(self, parse: TriggerParser) -> None:
        entry = {"sensor": 30, "power-capacity": "1 kW", "state-of-charge": {"sensor": 32}, "soc-max": {"sensor": 31}}
        [stock] = parse([entry], tree=parse.plant(attributes={3: {"max_soc_in_mwh": 0.05}})).stocks
        assert (stock.percent_of, stock.soc_max) == (0.05, SensorReference(31))

    def test_limits_may_come_from_sensors(self, parse: TriggerParser, battery: Json) -> None:
        trigger = parse([{**battery, "soc-min": {"sensor": 31}}])
        assert trigger.stocks[0].soc_min == SensorReference(31)
        assert trigger.referenced_sensors() == {20, 31}


class TestInflexible:
    """Inflexible devices."""

    def test_the_order_is_flex_model_then_context_then_other_commodities(
        self, parse: TriggerParser, battery: Json
    ) -> None:
        trigger = parse(
            [{"inflexible-production": {"sensor": 41, "default": "1 kW"}}, battery],
            {
                "consumption-price": {"sensor": 20},
                "inflexible-consumption": [{"sensor": 25}],
                "inflexible-production": [{"sensor": 40}],
                "commodities": [
                    {"commodity": "heat", "consumption-price": "1 EUR/MWh", "inflexible-consumption": [{"sensor": 60}]}
                ],
            },
        )
        assert [(one.reference.sensor, one.sign, one.commodity) for one in trigger.inflexible] == [
            (41, -1, "electricity"),
            (25, 1, "electricity"),
            (40, -1, "electricity"),
            (60, 1, "heat"),
        ]
        assert trigger.inflexible[0].reference.default is None
        assert trigger.inflexible[1].label == "building: metered load"
        assert trigger.of_commodity("electricity") == (0, 1, 2, 3)

    def test_the_deprecated_list_uses_the_attributes_of_sensors(self, parse: TriggerParser, battery: Json) -> None:
        context = {"consumption-price": {"sensor": 20}, "inflexible-device-sensors": [24, 25]}
        assert [(one.reference.sensor, one.sign) for one in parse([battery], context).inflexible] == [(24, -1), (25, 1)]


class TestProcesses:
    """Processes."""

    def process(self, parse: TriggerParser, entry: Json, tree: AssetTree | None = None) -> Process:
        [device] = parse([{"duration": "PT4H", **entry}], tree=tree).devices
        assert device.process is not None
        return device.process

    def test_a_number_is_in_the_unit_of_the_sensor(self, parse: TriggerParser) -> None:
        process = self.process(parse, {"sensor": 30, "power": 15})
        assert process == Process(ProcessType.INFLEXIBLE, timedelta(hours=4), 0.015)

    def test_everything(self, parse: TriggerParser) -> None:
        process = self.process(
            parse,
            {
                "sensor": 30,
                "power": "15 kW",
                "process-type": "BREAKABLE",
                "optimization-direction": "MAX",
                "time-restrictions": [{"start": "2026-03-02T15:00:00+01:00", "duration": "PT1H"}],
            },
        )
        afternoon = datetime(2026, 3, 2, 14, tzinfo=UTC)
        assert process == Process(
            ProcessType.BREAKABLE, timedelta(hours=4), 0.015, ((afternoon, afternoon + HOUR),), maximise=True
        )

    def test_the_type_may_be_an_attribute(self, parse: TriggerParser) -> None:
        shiftable = {3: {"process-type": "SHIFTABLE"}}
        assert (
            self.process(parse, {"sensor": 30, "power": 1}, tree=parse.plant(attributes=shiftable)).type == "SHIFTABLE"
        )
        with pytest.raises(Invalid) as raised:
            self.process(parse, {"sensor": 30, "power": 1}, tree=parse.plant(attributes={3: {"process-type": "odd"}}))
        assert list(raised.value.fields) == ["process-type"]

    def test_on_a_sensor(self, parse: TriggerParser) -> None:
        entry = {"duration": "PT4H", "power": 200, "process-type": "SHIFTABLE"}
        [device] = parse(entry, sensor_id=30).devices
        assert device.process == Process(ProcessType.SHIFTABLE, timedelta(hours=4), 0.2)
