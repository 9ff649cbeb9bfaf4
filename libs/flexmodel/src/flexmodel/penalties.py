"""Which limits are soft, and what breaking them costs: relax flags, given breach prices and default ones."""

from dataclasses import dataclass

from flexmodel.flex_context import CommodityFields, FlexContext
from flexmodel.quantities import is_money
from flexmodel.values import Fixed, VariableQuantity

SITE = Fixed(1e7)
"""10,000 per kW, in currency per MW. Also for the directional capacities of groups."""
DEVICE = Fixed(1e5)
"""100 per kW."""
STATE_OF_CHARGE = Fixed(1e6)
"""1,000 per kWh, in currency per MWh."""

Pair = tuple[VariableQuantity | None, VariableQuantity | None]
HARD: Pair = (None, None)


@dataclass(frozen=True, slots=True)
class Penalties:
    """Breach prices for all devices and stocks, as (consumption, production) and (minima, maxima). None: hard."""

    device: Pair
    state_of_charge: Pair
    off_tick: Pair
    """For stocks with wishes between two steps, which cannot be met exactly."""
    defaults: bool
    """Whether there are default prices at all."""


def penalties(context: FlexContext, currency: str) -> Penalties:
    """What the flex-context says about breaking limits of devices and stocks."""
    deprecated = context.consumption_price_sensor is not None or context.production_price_sensor is not None
    defaults = is_money(currency) and not deprecated
    device: Pair = (context.consumption_breach_price, context.production_breach_price)
    if device == HARD and defaults and context.relax_capacity_constraints:
        device = (DEVICE, DEVICE)
    given: Pair = (context.soc_minima_breach_price, context.soc_maxima_breach_price)
    filled = with_defaults(given, STATE_OF_CHARGE)
    return Penalties(
        device=device,
        state_of_charge=filled if defaults and context.relaxes_soc else given,
        off_tick=filled if is_money(currency) and context.relax_soc_constraints is not False else given,
        defaults=defaults,
    )


def site_penalties(context: CommodityFields, *, defaults: bool) -> Pair:
    """Breach prices of the directional capacities of a whole site."""
    given: Pair = (context.site_consumption_breach_price, context.site_production_breach_price)
    return with_defaults(given, SITE) if defaults and context.relaxes_site else given


def with_defaults(prices: Pair, default: VariableQuantity) -> Pair:
    first, second = prices
    return (default if first is None else first, default if second is None else second)
