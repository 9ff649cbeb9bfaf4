"""The flex-model of one device, stock or group: every field, its default, and what may not stand beside it."""

from typing import Any, ClassVar, Literal, Self, cast

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from flexmodel import quantities
from flexmodel.configuration import Configuration, kebab
from flexmodel.device_fields import (
    AssetId,
    Coefficient,
    Components,
    GroupReference,
    InflexibleSensor,
    Label,
    OperationModes,
    Roundtrip,
    StateOfCharge,
)
from flexmodel.fields import (
    Energy,
    EnergyFromZero,
    Output,
    PositiveRatio,
    Power,
    Ratio,
    SensorId,
    SteadyEnergy,
    SteadyEnergyFromZero,
)
from flexmodel.reading import WHOLE, Reader
from flexmodel.trigger import ELECTRICITY
from flexmodel.values import SensorReference

NOT_ON_GROUPS = (
    *("state_of_charge", "soc_at_start", "soc_min", "soc_max", "soc_minima", "soc_maxima", "soc_targets"),
    *("soc_gain", "soc_usage", "storage_efficiency", "charging_efficiency", "discharging_efficiency"),
    "roundtrip_efficiency",
)
BESIDE_INFLEXIBLE = (
    *("inflexible_consumption", "inflexible_production", "group", "commodity", "asset", "sensor"),
    *("prefer_charging_sooner", "prefer_curtailing_later"),
)
ONLY_IN_TRIGGERS = ("soc_at_start", "soc_unit", "operation_modes")
ABSOLUTE_STATES = ("soc_min", "soc_max", "soc_minima", "soc_maxima", "soc_targets")
"""Fields that speak of absolute amounts of energy: with one of them, an unknown state at the start is taken as 0."""


class FlexModelEntry(Configuration):
    """What is known of one device, one stock or one group of devices."""

    nullable: ClassVar[tuple[str, ...]] = ("coupling",)

    sensor: SensorId | None = Field(None, description="The power sensor whose schedule is wanted.")
    asset: AssetId | None = Field(None, description="The asset the entry is about, where there is no sensor.")
    commodity: Label = Field(ELECTRICITY, description="What the device consumes or produces: electricity, gas, heat …")
    consumption: Output | None = Field(None, description="Receives the schedule with consumption as positive values.")
    production: Output | None = Field(None, description="Receives the schedule with production as positive values.")
    state_of_charge: StateOfCharge | None = Field(
        None,
        description="The sensor that tells the state of charge and receives its schedule, or its values over time.",
    )
    soc_at_start: SteadyEnergy | None = Field(None, description="The energy stored when the schedule starts.")
    soc_unit: Literal["kWh", "MWh"] | None = Field(
        None, description="The unit of bare numbers in soc fields.", json_schema_extra={"deprecated": True}
    )
    soc_min: SteadyEnergyFromZero | None = Field(None, description="The stock never goes below this (hard).")
    soc_max: SteadyEnergy | None = Field(None, description="The stock never goes above this (hard).")
    soc_minima: EnergyFromZero | None = Field(None, description="The least energy stored at given times.")
    soc_maxima: Energy | None = Field(None, description="The most energy stored at given times.")
    soc_targets: Energy | None = Field(None, description="The energy stored at given times. Extends the schedule.")
    soc_gain: Components | None = Field(None, description="Power into the stock that no device controls.")
    soc_usage: Components | None = Field(None, description="Power out of the stock that no device controls.")
    roundtrip_efficiency: Roundtrip | None = Field(None, description="Charging times discharging efficiency.")
    charging_efficiency: Ratio | None = Field(None, description="May exceed 100 % (the COP of a heat pump).")
    discharging_efficiency: PositiveRatio | None = Field(None, description="May exceed 100 %.")
    storage_efficiency: Ratio | None = Field(
        None, description="The fraction kept over one step of the efficiency's sensor, else of the power sensor."
    )
    prefer_charging_sooner: bool = Field(True, description="Among equals, prefer a fuller stock.")
    prefer_curtailing_later: bool = Field(True, description="Among equals, prefer fullness early over fullness late.")
    power_capacity: Power | None = Field(None, description="The most power, both ways (hard).")
    consumption_capacity: Power | None = Field(None, description="The most consumption.")
    production_capacity: Power | None = Field(None, description="The most production.")
    operation_modes: OperationModes | None = Field(None, description="The power ranges the device must choose from.")
    group: GroupReference | None = Field(None, description="The group of devices that it belongs to.")
    coupling: Label | None = Field(None, description="The converter of which the device is a port.")
    coupling_coefficient: Coefficient = Field(1.0, description="Power of this port per throughput of the converter.")
    inflexible_consumption: InflexibleSensor | None = Field(None, description="Makes it a device that is not planned.")
    inflexible_production: InflexibleSensor | None = Field(None, description="Makes it a device that is not planned.")

    @property
    def inflexible(self) -> tuple[SensorReference, Literal[1, -1]] | None:
        """For a device that is not planned: where its power is read, and whether that counts as consumption (1)."""
        if self.inflexible_consumption is not None:
            return self.inflexible_consumption, 1
        return None if self.inflexible_production is None else (self.inflexible_production, -1)

    @property
    def is_inflexible(self) -> bool:
        return self.inflexible is not None

    @property
    def power_sensor(self) -> int | None:
        """The sensor that gets the power schedule: named as such, or hidden in the outputs."""
        return self.sensor or self.consumption or self.production

    def has(self, name: str) -> bool:
        """Whether the field was given, here or on the asset."""
        return getattr(self, name) is not None and name in self.model_fields_set

    @model_validator(mode="after")
    def _fields_together(self, info: ValidationInfo) -> Self:
        problems: dict[str, Any] = {}
        for direction in ("charging_efficiency", "discharging_efficiency"):
            if self.roundtrip_efficiency is not None and getattr(self, direction) is not None:
                sentence = f"Fields `{direction}` and `roundtrip_efficiency` are mutually exclusive."
                problems.setdefault(WHOLE, []).append(sentence)
        if self.is_inflexible:
            problems |= self._beside_inflexible()
        reader = cast(Reader, info.context)
        if reader.stored:
            problems |= {
                kebab(name): ["This belongs into a trigger and cannot be stored on an asset."]
                for name in ONLY_IN_TRIGGERS
                if self.has(name)
            }
        if self.sensor is not None and not self._measures_power(self.sensor, reader):
            unit = reader.tree.sensors[self.sensor].unit
            problems["sensor"] = [f"Sensor {self.sensor} measures '{unit}'. It must have a unit of power or energy."]
        if problems:
            raise PydanticCustomError("refused", "refused", {"problem": problems})
        return self

    def _beside_inflexible(self) -> dict[str, Any]:
        """What may not stand on an entry whose power is read, not planned."""
        problems: dict[str, Any] = {
            kebab(name): ["A device that is not planned has no such field."]
            for name in self.model_fields_set
            if name not in BESIDE_INFLEXIBLE
        }
        if self.inflexible_consumption is not None and self.inflexible_production is not None:
            problems["inflexible-production"] = ["Give either `inflexible-consumption` or `inflexible-production`."]
        return problems

    @staticmethod
    def _measures_power(sensor_id: int, reader: Reader) -> bool:
        sensor = reader.tree.sensors[sensor_id]
        return quantities.is_power(sensor.unit) or quantities.is_energy(sensor.unit)


def json_schema() -> dict[str, Any]:
    """JSON Schema of one entry of a flex-model, for editors."""
    return FlexModelEntry.model_json_schema(by_alias=True)
