"""What ties devices together: groups, converters, and commitments on the sum of some of them."""

from collections.abc import Sequence

from flexmodel.commitments import CommitmentEntry
from flexmodel.errors import Invalid
from flexmodel.flex_context import FlexContext
from flexmodel.flex_model import FlexModelEntry
from flexmodel.penalties import SITE
from flexmodel.roles import Roles, members_of
from flexmodel.trigger import Commitment, Coupling, Group, Inflexible
from flexmodel.values import Fixed


def groups(roles: Roles) -> tuple[Group, ...]:
    return tuple(
        Group(
            name=f"{kind}:{number}",
            members=members_of((kind, number), roles),
            power_capacity=entry.power_capacity,
            consumption_capacity=entry.consumption_capacity,
            production_capacity=entry.production_capacity,
            breach_price=SITE.value,
            sensor=number if kind == "sensor" else None,
            consumption_output=entry.consumption,
            production_output=entry.production,
        )
        for (kind, number), entry in roles.groups.items()
    )


def couplings(roles: Roles) -> tuple[Coupling, ...]:
    """Build a coupling per converter. Devices with the same `coupling` are the ports of one converter."""
    ports: dict[str, list[tuple[int, float]]] = {}
    for index, entry in enumerate(roles.devices):
        if isinstance(entry, FlexModelEntry) and entry.coupling is not None:
            ports.setdefault(entry.coupling, []).append((index, _coefficient(entry)))
    return tuple(
        Coupling(name, tuple(index for index, _ in found), tuple(coefficient for _, coefficient in found))
        for name, found in ports.items()
    )


def _coefficient(entry: FlexModelEntry) -> float:
    """The coefficient with the sign of the port's direction, which its capacities tell."""
    consumption, production = entry.consumption_capacity, entry.production_capacity
    closed = Fixed(0.0)
    consumes = production == closed or consumption not in (None, closed)
    produces = consumption == closed or production not in (None, closed)
    if consumes == produces:
        sentence = (
            "It must be clear whether this port of the converter consumes or produces: "
            "give a `consumption-capacity` or a `production-capacity`, not both (or set one of them to 0)."
        )
        raise Invalid({"coupling": [sentence]})
    return entry.coupling_coefficient if consumes else -entry.coupling_coefficient


def commitments(
    context: FlexContext, roles: Roles, inflexible: Sequence[Inflexible]
) -> tuple[tuple[Commitment, ...], list[str]]:
    """The custom commitments on the devices they concern, and a warning for each that concerns none."""
    commodities = [entry.commodity for entry in roles.devices] + [device.commodity for device in inflexible]
    listed = [(commitment, commitment.commodity) for commitment in context.commitments]
    listed += [(commitment, entry.commodity) for entry in context.commodities for commitment in entry.commitments]
    found: list[Commitment] = []
    warnings: list[str] = []
    for commitment, commodity in listed:
        members = _scope(commitment, roles, inflexible, commodities, commodity)
        if not members:
            warnings.append(f"The commitment '{commitment.name}' concerns none of the devices and is left out.")
            continue
        found.append(
            Commitment(
                name=commitment.name,
                commodity=commodities[members[0]],
                members=members,
                baseline=commitment.baseline,
                up_price=commitment.up_price,
                down_price=commitment.down_price,
            )
        )
    return tuple(found), warnings


def _scope(
    commitment: CommitmentEntry,
    roles: Roles,
    inflexible: Sequence[Inflexible],
    commodities: Sequence[str],
    commodity: str,
) -> tuple[int, ...]:
    """The devices whose power the commitment is about: those named, else all of the commodity."""
    if commitment.sensors is None and commitment.group is None:
        return tuple(index for index, name in enumerate(commodities) if name == commodity)
    if commitment.group is not None:
        members = members_of(commitment.group, roles)
    else:
        sensors = [_sensors_of(entry) for entry in roles.devices] + [{device.reference.sensor} for device in inflexible]
        wanted = set(commitment.sensors or ())
        members = tuple(index for index, own in enumerate(sensors) if own & wanted)
    mixed = sorted({commodities[index] for index in members})
    if len(mixed) > 1:
        sentence = f"The commitment '{commitment.name}' is about several commodities: {', '.join(mixed)}."
        raise Invalid({"commitments": [sentence]})
    return members


def _sensors_of(entry: object) -> set[int | None]:
    return {getattr(entry, name, None) for name in ("sensor", "consumption", "production")} - {None}
