"""Checks of flex-models and flex-contexts that are to be stored on an asset."""

from collections.abc import Mapping
from typing import Any

from flexmodel.errors import Invalid
from flexmodel.flex_context import FlexContext, shared_currency
from flexmodel.flex_model import FlexModelEntry
from flexmodel.process_model import ProcessEntry, is_process
from flexmodel.reading import WHOLE, Reader, Refused
from flexmodel.tree import AssetTree
from flexmodel.values import Fixed


def check_flex_model(config: Mapping[str, Any], tree: AssetTree) -> None:
    """Refuses a flex-model that could not be used by a trigger later. Nothing in it may be about particular times."""
    model = ProcessEntry if is_process(config) else FlexModelEntry
    try:
        model.read(config, Reader(tree, stored=True))
    except Refused as refused:
        raise Invalid(_by_field(refused)) from None


def check_flex_context(config: Mapping[str, Any], tree: AssetTree) -> None:
    """Refuses a flex-context that could not be used by a trigger later. Its energy prices must come from sensors."""
    reader = Reader(tree, stored=True)
    currency, field = shared_currency(config, reader)
    try:
        context = FlexContext.read(config, Reader(tree, currency, field, stored=True))
    except Refused as refused:
        raise Invalid(_by_field(refused)) from None
    prices = {"consumption-price": context.consumption_price, "production-price": context.production_price}
    fixed = [name for name, price in prices.items() if isinstance(price, Fixed)]
    if fixed:
        advice = "A fixed price cannot be stored on an asset. Name a sensor, or send the price with a trigger."
        raise Invalid({name: [advice] for name in fixed})


def _by_field(refused: Refused) -> Mapping[str, Any]:
    return refused.problem if isinstance(refused.problem, dict) else {WHOLE: refused.problem}
