"""The grid connections: one per commodity that has prices or capacities, with defaults for what is not said."""

from collections.abc import Sequence

from flexmodel.errors import Invalid
from flexmodel.flex_context import CommodityEntry, CommodityFields, FlexContext
from flexmodel.penalties import SITE, Pair, site_penalties
from flexmodel.trigger import ELECTRICITY, Node, Site
from flexmodel.values import Fixed, SensorReference, VariableQuantity

CONNECTING = (
    *("consumption_price", "production_price", "site_consumption_capacity"),
    *("site_production_capacity", "site_power_capacity"),
)
"""A commodity's context needs at least one of these fields to be a grid connection."""
NOTHING = Fixed(0.0)


def build_sites(
    context: FlexContext, commodities: Sequence[str], *, defaults: bool
) -> tuple[tuple[Site, ...], tuple[Node, ...], list[str]]:
    """The connection of each commodity that devices have, or a balance node; and what was assumed, in sentences."""
    entries = {entry.commodity: entry for entry in context.commodities}
    found: list[Site] = []
    nodes: list[Node] = []
    warnings: list[str] = []
    for commodity in commodities:
        entry = entries.get(commodity)
        if entry is not None and _connects(entry):
            if commodity == ELECTRICITY and _connects(context):
                warnings.append(
                    "Prices and capacities beside `commodities` are not used: electricity has its own entry."
                )
            found.append(_with_smart_defaults(entry, context, defaults=defaults, warnings=warnings))
        elif commodity != ELECTRICITY:
            nodes.append(Node(commodity))
        else:
            found.append(_electricity(context, defaults=defaults))
    return tuple(found), tuple(nodes), warnings


def _connects(fields: CommodityFields) -> bool:
    return any(getattr(fields, name) is not None for name in CONNECTING)


def _electricity(context: FlexContext, *, defaults: bool) -> Site:
    """The connection that the flex-context itself describes."""
    price = context.consumption_price or _deprecated(context.consumption_price_sensor)
    if price is None:
        raise Invalid({"consumption-price": ["Give a price for electricity, in the message or stored on the asset."]})
    return _connection(
        context,
        context,
        prices=(price, context.production_price or _deprecated(context.production_price_sensor)),
        caps=(context.site_consumption_capacity, context.site_production_capacity),
        penalties=site_penalties(context, defaults=defaults),
    )


def _deprecated(sensor: int | None) -> VariableQuantity | None:
    return None if sensor is None else SensorReference(sensor)


def _with_smart_defaults(entry: CommodityEntry, context: FlexContext, *, defaults: bool, warnings: list[str]) -> Site:
    """The connection of an entry of `commodities`. A direction with neither price nor capacity of its own is closed,
    unless a capacity for both is all that the entry says. With a capacity and no price, energy is free.
    """
    own = ("consumption_price", "production_price", "site_consumption_capacity", "site_production_capacity")
    says_both = all(getattr(entry, name) is None for name in own)
    closed: list[bool] = []
    caps: list[VariableQuantity | None] = []
    penalties: list[VariableQuantity | None] = []
    for direction in ("consumption", "production"):
        cap = getattr(entry, f"site_{direction}_capacity")
        price = getattr(entry, f"{direction}_price")
        closed.append(cap is None and price is None and not says_both)
        caps.append(NOTHING if closed[-1] else cap)
        given = getattr(entry, f"site_{direction}_breach_price")
        soft = closed[-1] and defaults and entry.relaxes_site
        penalties.append(SITE if soft and given is None else given)
        if closed[-1] and penalties[-1] is None:
            warnings.append(
                f"No {direction} of {entry.commodity} is planned, because neither price nor limit is given."
            )
    free = NOTHING if entry.site_production_capacity is not None else None
    return _connection(
        entry,
        context if entry.commodity == ELECTRICITY else entry,
        prices=(entry.consumption_price or NOTHING, entry.production_price or free),
        caps=(caps[0], caps[1]),
        penalties=(penalties[0], penalties[1]),
    )


def _connection(
    fields: CommodityFields,
    more: CommodityFields,
    *,
    prices: tuple[VariableQuantity, VariableQuantity | None],
    caps: Pair,
    penalties: Pair,
) -> Site:
    """The connection. Output sensors may also be named in `more`."""
    return Site(
        commodity=fields.commodity,
        consumption_price=prices[0],
        production_price=prices[1],
        power_capacity=fields.site_power_capacity,
        consumption_capacity=caps[0],
        production_capacity=caps[1],
        consumption_breach_price=penalties[0],
        production_breach_price=penalties[1],
        peak_consumption=fields.site_peak_consumption,
        peak_consumption_price=fields.site_peak_consumption_price,
        peak_production=fields.site_peak_production,
        peak_production_price=fields.site_peak_production_price,
        aggregate_power=fields.aggregate_power or more.aggregate_power,
        aggregate_consumption=fields.aggregate_consumption or more.aggregate_consumption,
        aggregate_production=fields.aggregate_production or more.aggregate_production,
    )
