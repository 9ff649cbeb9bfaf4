"""Checks of flex-models and flex-contexts that are to be stored on an asset."""

from collections.abc import Mapping

from flexmodel.errors import Invalid
from flexmodel.flex_context import parse_flex_context
from flexmodel.flex_model import FlexModelEntry
from flexmodel.parsing import FieldError, ParseContext
from flexmodel.process_model import ProcessEntry, is_process
from flexmodel.tree import AssetTree
from flexmodel.values import Fixed


def check_flex_model(config: Mapping[str, object], tree: AssetTree) -> None:
    """Check a flex-model that is to be stored. Nothing in it may be about particular times.

    Raises:
        Invalid: With all errors, by field.
    """
    model = ProcessEntry if is_process(config) else FlexModelEntry
    try:
        model.parse(config, ParseContext(tree, stored=True))
    except FieldError as error:
        raise Invalid(error.by_field) from None


def check_flex_context(config: Mapping[str, object], tree: AssetTree) -> None:
    """Check a flex-context that is to be stored. Its energy prices must come from sensors.

    Raises:
        Invalid: With all errors, by field.
    """
    try:
        flex_context, _ = parse_flex_context(config, ParseContext(tree, stored=True))
    except FieldError as error:
        raise Invalid(error.by_field) from None
    prices = {"consumption-price": flex_context.consumption_price, "production-price": flex_context.production_price}
    fixed = [name for name, price in prices.items() if isinstance(price, Fixed)]
    if fixed:
        advice = "A fixed price cannot be stored on an asset. Name a sensor, or send the price with a trigger."
        raise Invalid({name: [advice] for name in fixed})
