"""The flex-model of a device, a stock or a group: every field, its default, and the fields it excludes.

A field is declared once. What other modules must know of it stands at its declaration, as a `FieldRule`.
"""

from enum import Enum, auto
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import Field, ValidationInfo, model_validator

from flexmodel import quantities
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
from flexmodel.parsing import WHOLE, Configuration, Errors, ParseContext, kebab, raise_errors
from flexmodel.trigger import ELECTRICITY
from flexmodel.values import SensorReference


class FieldRule(Enum):
    """A rule that some fields of the flex-model share. It annotates their types."""

    STORAGE = auto()
    """The field describes a storage. A group of devices has no such field."""
    ABSOLUTE_STATE = auto()
    """The field is an absolute amount of energy. With one of them, an unknown state at the start is taken as 0."""
    TRIGGER_ONLY = auto()
    """The field cannot be stored on an asset."""
    WITH_INFLEXIBLE = auto()
    """The field may stand beside `inflexible-consumption` or `inflexible-production`."""


STORAGE, ABSOLUTE_STATE = FieldRule.STORAGE, FieldRule.ABSOLUTE_STATE
TRIGGER_ONLY, WITH_INFLEXIBLE = FieldRule.TRIGGER_ONLY, FieldRule.WITH_INFLEXIBLE


class FlexModelEntry(Configuration):
    """One entry of a flex-model: the description of a device, a stock or a group of devices."""

    nullable: ClassVar[tuple[str, ...]] = ("coupling",)

    sensor: Annotated[SensorId | None, WITH_INFLEXIBLE] = Field(
        None, description="The power sensor whose schedule is wanted."
    )
    asset: Annotated[AssetId | None, WITH_INFLEXIBLE] = Field(
        None, description="The asset the entry is about, where there is no sensor."
    )
    commodity: Annotated[Label, WITH_INFLEXIBLE] = Field(
        ELECTRICITY, description="What the device consumes or produces: electricity, gas, heat …"
    )
    consumption: Output | None = Field(None, description="Receives the schedule with consumption as positive values.")
    production: Output | None = Field(None, description="Receives the schedule with production as positive values.")
    state_of_charge: Annotated[StateOfCharge | None, STORAGE] = Field(
        None,
        description="The sensor that tells the state of charge and receives its schedule, or its values over time.",
    )
    soc_at_start: Annotated[SteadyEnergy | None, STORAGE, TRIGGER_ONLY] = Field(
        None, description="The energy stored when the schedule starts."
    )
    soc_unit: Annotated[Literal["kWh", "MWh"] | None, TRIGGER_ONLY] = Field(
        None, description="The unit of bare numbers in soc fields.", json_schema_extra={"deprecated": True}
    )
    soc_min: Annotated[SteadyEnergyFromZero | None, STORAGE, ABSOLUTE_STATE] = Field(
        None, description="The stock never goes below this (hard)."
    )
    soc_max: Annotated[SteadyEnergy | None, STORAGE, ABSOLUTE_STATE] = Field(
        None, description="The stock never goes above this (hard)."
    )
    soc_minima: Annotated[EnergyFromZero | None, STORAGE, ABSOLUTE_STATE] = Field(
        None, description="The least energy stored at given times."
    )
    soc_maxima: Annotated[Energy | None, STORAGE, ABSOLUTE_STATE] = Field(
        None, description="The most energy stored at given times."
    )
    soc_targets: Annotated[Energy | None, STORAGE, ABSOLUTE_STATE] = Field(
        None, description="The energy stored at given times. Extends the schedule."
    )
    soc_gain: Annotated[Components | None, STORAGE] = Field(
        None, description="Power into the stock that no device controls."
    )
    soc_usage: Annotated[Components | None, STORAGE] = Field(
        None, description="Power out of the stock that no device controls."
    )
    roundtrip_efficiency: Annotated[Roundtrip | None, STORAGE] = Field(
        None, description="Charging times discharging efficiency."
    )
    charging_efficiency: Annotated[Ratio | None, STORAGE] = Field(
        None, description="May exceed 100 % (the COP of a heat pump)."
    )
    discharging_efficiency: Annotated[PositiveRatio | None, STORAGE] = Field(None, description="May exceed 100 %.")
    storage_efficiency: Annotated[Ratio | None, STORAGE] = Field(
        None, description="The fraction kept over one step of the efficiency's sensor, else of the power sensor."
    )
    prefer_charging_sooner: Annotated[bool, WITH_INFLEXIBLE] = Field(
        True, description="Among equals, prefer a fuller stock."
    )
    prefer_curtailing_later: Annotated[bool, WITH_INFLEXIBLE] = Field(
        True, description="Among equals, prefer fullness early over fullness late."
    )
    power_capacity: Power | None = Field(None, description="The most power, both ways (hard).")
    consumption_capacity: Power | None = Field(None, description="The most consumption.")
    production_capacity: Power | None = Field(None, description="The most production.")
    operation_modes: Annotated[OperationModes | None, TRIGGER_ONLY] = Field(
        None, description="The power ranges the device must choose from."
    )
    group: Annotated[GroupReference | None, WITH_INFLEXIBLE] = Field(
        None, description="The group of devices that it belongs to."
    )
    coupling: Label | None = Field(None, description="The converter of which the device is a port.")
    coupling_coefficient: Coefficient = Field(1.0, description="Power of this port per throughput of the converter.")
    inflexible_consumption: Annotated[InflexibleSensor | None, WITH_INFLEXIBLE] = Field(
        None, description="Makes it a device that is not planned."
    )
    inflexible_production: Annotated[InflexibleSensor | None, WITH_INFLEXIBLE] = Field(
        None, description="Makes it a device that is not planned."
    )

    @classmethod
    def fields_with(cls, rule: FieldRule) -> tuple[str, ...]:
        """Return the names of the fields with a rule."""
        return tuple(name for name, field in cls.model_fields.items() if rule in field.metadata)

    @property
    def inflexible(self) -> tuple[SensorReference, Literal[1, -1]] | None:
        """For an inflexible device: the reference to its power, and the sign of consumption in it."""
        if self.inflexible_consumption is not None:
            return self.inflexible_consumption, 1
        return None if self.inflexible_production is None else (self.inflexible_production, -1)

    @property
    def is_inflexible(self) -> bool:
        return self.inflexible is not None

    @property
    def power_sensor(self) -> int | None:
        """The sensor that receives the power schedule: the given one, else that of an output."""
        return self.sensor or self.consumption or self.production

    @property
    def soc_sensor(self) -> int | None:
        """The sensor of the state of charge. Devices that share it share a stock."""
        return self.state_of_charge.sensor if isinstance(self.state_of_charge, SensorReference) else None

    def has(self, name: str) -> bool:
        """Return whether a field was given, in the message or on the asset."""
        return getattr(self, name) is not None and name in self.model_fields_set

    @model_validator(mode="after")
    def _check_fields_together(self, info: ValidationInfo) -> Self:
        errors: Errors = {}
        exclusive = [
            f"Fields `{direction}` and `roundtrip_efficiency` are mutually exclusive."
            for direction in ("charging_efficiency", "discharging_efficiency")
            if self.roundtrip_efficiency is not None and getattr(self, direction) is not None
        ]
        if exclusive:
            errors[WHOLE] = exclusive
        if self.is_inflexible:
            errors |= self._errors_beside_inflexible()
        context = cast(ParseContext, info.context)
        if context.stored:
            errors |= {
                kebab(name): ["This belongs into a trigger and cannot be stored on an asset."]
                for name in self.fields_with(TRIGGER_ONLY)
                if self.has(name)
            }
        if self.sensor is not None:
            unit = context.tree.sensors[self.sensor].unit
            if not quantities.is_power(unit) and not quantities.is_energy(unit):
                sentence = f"Sensor {self.sensor} measures '{unit}'. It must have a unit of power or energy."
                errors["sensor"] = [sentence]
        raise_errors(errors)
        return self

    def _errors_beside_inflexible(self) -> Errors:
        """Return an error for each field that an inflexible device cannot have."""
        accepted = self.fields_with(WITH_INFLEXIBLE)
        errors: Errors = {
            kebab(name): ["A device that is not planned has no such field."]
            for name in type(self).model_fields
            if name in self.model_fields_set and name not in accepted
        }
        if self.inflexible_consumption is not None and self.inflexible_production is not None:
            errors["inflexible-production"] = ["Give either `inflexible-consumption` or `inflexible-production`."]
        return errors
