"""Surroundings of the devices: breach prices, inflexible devices, and the site or the node of each commodity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from flexmodel.entries import Roles
from flexmodel.errors import Invalid
from flexmodel.flex_context import CommodityEntry, CommodityFields, FlexContext
from flexmodel.parsing import ParseContext
from flexmodel.quantities import is_money
from flexmodel.trigger import ELECTRICITY, Device, Inflexible, Node, Site
from flexmodel.values import Fixed, SensorReference, VariableQuantity

SITE_PRICE = Fixed(1e7)
"""10,000 per kW, in currency per MW."""
DEVICE_PRICE = Fixed(1e5)
"""100 per kW."""
STATE_PRICE = Fixed(1e6)
"""1,000 per kWh, in currency per MWh."""
NOTHING = Fixed(0.0)

PricePair = tuple[VariableQuantity | None, VariableQuantity | None]
HARD: PricePair = (None, None)


@dataclass(frozen=True, slots=True)
class BreachPrices:
    """Breach prices of all devices and stocks, as (consumption, production) or (minima, maxima). None: hard."""

    device: PricePair
    state_of_charge: PricePair
    off_tick: PricePair
    """For stocks with a limit between two steps, which cannot be met exactly."""
    defaults: bool
    """True if limits without a given price may have a default price."""


def breach_prices(flex_context: FlexContext, currency: str) -> BreachPrices:
    """Return the breach prices of devices and stocks: given ones, else default ones where constraints are relaxed."""
    deprecated = flex_context.consumption_price_sensor is not None or flex_context.production_price_sensor is not None
    defaults = is_money(currency) and not deprecated
    device: PricePair = (flex_context.consumption_breach_price, flex_context.production_breach_price)
    if device == HARD and defaults and flex_context.relax_capacity_constraints:
        device = (DEVICE_PRICE, DEVICE_PRICE)
    given: PricePair = (flex_context.soc_minima_breach_price, flex_context.soc_maxima_breach_price)
    filled = _with_default(given, STATE_PRICE)
    return BreachPrices(
        device=device,
        state_of_charge=filled if defaults and flex_context.relaxes_soc else given,
        off_tick=filled if is_money(currency) and flex_context.relax_soc_constraints is not False else given,
        defaults=defaults,
    )


def _with_default(prices: PricePair, default: VariableQuantity) -> PricePair:
    first, second = prices
    return (default if first is None else first, default if second is None else second)


def build_inflexible(roles: Roles, flex_context: FlexContext, context: ParseContext) -> tuple[Inflexible, ...]:
    """Return the inflexible devices: of the flex-model, of the flex-context, then of its other commodities."""
    declared = [
        _inflexible(*entry.inflexible, entry.commodity, context)
        for entry in roles.inflexible
        if entry.inflexible is not None
    ]
    listed = [device for fields in (flex_context, *flex_context.commodities) for device in _listed(fields, context)]
    return (*declared, *listed)


def _listed(fields: CommodityFields, context: ParseContext) -> list[Inflexible]:
    listed: list[tuple[SensorReference, Literal[1, -1]]] = [
        *((SensorReference(sensor), _own_sign(sensor, context)) for sensor in fields.inflexible_device_sensors or ()),
        *((reference, 1) for reference in fields.inflexible_consumption or ()),
        *((reference, -1) for reference in fields.inflexible_production or ()),
    ]
    return [_inflexible(reference, sign, fields.commodity, context) for reference, sign in listed]


def _own_sign(sensor_id: int, context: ParseContext) -> Literal[1, -1]:
    """Return the sign of consumption by the sensor's own attribute. Without it production is positive."""
    tree = context.tree
    return 1 if tree.attribute(tree.sensors[sensor_id], "consumption_is_positive", False) else -1


def _inflexible(reference: SensorReference, sign: Literal[1, -1], commodity: str, context: ParseContext) -> Inflexible:
    sensor = context.tree.sensors[reference.sensor]
    asset = context.tree.assets.get(sensor.asset_id)
    label = f"{asset.name}: {sensor.name}" if asset is not None else sensor.name
    return Inflexible(label, replace(reference, default=None), sign, commodity)


def build_sites(
    flex_context: FlexContext, devices: Sequence[Device | Inflexible], *, default_prices: bool
) -> tuple[tuple[Site, ...], tuple[Node, ...], list[str]]:
    """Return the site of each commodity that devices have, or a node where it has no grid connection, and warnings.

    Args:
        flex_context: Prices and capacities.
        devices: All devices, inflexible ones included.
        default_prices: True if capacities without a given breach price may have a default one.

    Raises:
        Invalid: If there is no price for electricity.
    """
    entries = {entry.commodity: entry for entry in flex_context.commodities}
    sites: list[Site] = []
    nodes: list[Node] = []
    warnings: list[str] = []
    for commodity in _commodities(flex_context, devices):
        entry = entries.get(commodity)
        if entry is not None and entry.has_connection:
            if commodity == ELECTRICITY and flex_context.has_connection:
                warnings.append(
                    "Prices and capacities beside `commodities` are not used: electricity has its own entry."
                )
            sites.append(_site_of_entry(entry, flex_context, default_prices=default_prices, warnings=warnings))
        elif commodity != ELECTRICITY:
            nodes.append(Node(commodity))
        else:
            sites.append(_site_of_context(flex_context, default_prices=default_prices))
    return tuple(sites), tuple(nodes), warnings


def _commodities(flex_context: FlexContext, devices: Sequence[Device | Inflexible]) -> list[str]:
    """Return the commodities of devices: electricity, then in the order of the contexts, then of the devices."""
    used = [device.commodity for device in devices]
    order = [ELECTRICITY, *(entry.commodity for entry in flex_context.commodities), *used]
    return [name for name in dict.fromkeys(order) if name in used]


def _site_of_context(flex_context: FlexContext, *, default_prices: bool) -> Site:
    """Return the site for electricity that the flex-context itself describes."""
    price = flex_context.consumption_price or _reference(flex_context.consumption_price_sensor)
    if price is None:
        raise Invalid({"consumption-price": ["Give a price for electricity, in the message or stored on the asset."]})
    given: PricePair = (flex_context.site_consumption_breach_price, flex_context.site_production_breach_price)
    return _site(
        flex_context,
        flex_context,
        prices=(price, flex_context.production_price or _reference(flex_context.production_price_sensor)),
        capacities=(flex_context.site_consumption_capacity, flex_context.site_production_capacity),
        breach_prices=_with_default(given, SITE_PRICE) if default_prices and flex_context.relaxes_site else given,
    )


def _reference(sensor: int | None) -> VariableQuantity | None:
    return None if sensor is None else SensorReference(sensor)


def _site_of_entry(
    entry: CommodityEntry, flex_context: FlexContext, *, default_prices: bool, warnings: list[str]
) -> Site:
    """Return the site of an entry of `commodities`, and add to the warnings.

    A direction with neither price nor capacity of its own is closed, unless a capacity for both is all that the entry
    has. With a capacity and no price, energy is free.
    """
    directional = ("consumption_price", "production_price", "site_consumption_capacity", "site_production_capacity")
    only_both = all(getattr(entry, name) is None for name in directional)
    capacities: list[VariableQuantity | None] = []
    breach_prices: list[VariableQuantity | None] = []
    for direction in ("consumption", "production"):
        capacity = getattr(entry, f"site_{direction}_capacity")
        price = getattr(entry, f"{direction}_price")
        closed = capacity is None and price is None and not only_both
        given = getattr(entry, f"site_{direction}_breach_price")
        soft = closed and default_prices and entry.relaxes_site
        capacities.append(NOTHING if closed else capacity)
        breach_prices.append(SITE_PRICE if soft and given is None else given)
        if closed and breach_prices[-1] is None:
            warnings.append(
                f"No {direction} of {entry.commodity} is planned, because neither price nor limit is given."
            )
    free = NOTHING if entry.site_production_capacity is not None else None
    return _site(
        entry,
        flex_context if entry.commodity == ELECTRICITY else entry,
        prices=(entry.consumption_price or NOTHING, entry.production_price or free),
        capacities=(capacities[0], capacities[1]),
        breach_prices=(breach_prices[0], breach_prices[1]),
    )


def _site(
    fields: CommodityFields,
    outputs: CommodityFields,
    *,
    prices: tuple[VariableQuantity, VariableQuantity | None],
    capacities: PricePair,
    breach_prices: PricePair,
) -> Site:
    """Return a site. Output sensors that `fields` does not name are taken from `outputs`."""
    return Site(
        commodity=fields.commodity,
        consumption_price=prices[0],
        production_price=prices[1],
        power_capacity=fields.site_power_capacity,
        consumption_capacity=capacities[0],
        production_capacity=capacities[1],
        consumption_breach_price=breach_prices[0],
        production_breach_price=breach_prices[1],
        peak_consumption=fields.site_peak_consumption,
        peak_consumption_price=fields.site_peak_consumption_price,
        peak_production=fields.site_peak_production,
        peak_production_price=fields.site_peak_production_price,
        aggregate_power=fields.aggregate_power or outputs.aggregate_power,
        aggregate_consumption=fields.aggregate_consumption or outputs.aggregate_consumption,
        aggregate_production=fields.aggregate_production or outputs.aggregate_production,
    )
