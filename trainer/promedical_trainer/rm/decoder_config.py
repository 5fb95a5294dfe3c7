"""The architecture that a recipe trains, from the recipe or from its base; weights are not needed for it."""

from typing import Any, Final

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PretrainedConfig

from promedical_model.bundle.bundle import open_bundle
from promedical_model.bundle.exact_models import check_exact
from promedical_trainer.rm.recipe import RecipeError, RmRecipe

TINY: Final = "tiny"
"""A base that is made on the spot: a tiny model of the recipe's architecture, with random weights."""


def decoder_config(recipe: RmRecipe) -> PretrainedConfig:
    """Configuration of the decoder.

    Raises:
        RecipeError: transformers does not know the recipe's architecture, or it is missing where it is needed.
        BundleError: Trees do not score it exactly, or the recipe states none and its base cannot be opened.
    """
    settings = recipe.architecture
    if settings is None:
        if recipe.base == TINY:
            raise RecipeError(f"base {TINY}: needs an architecture in the recipe, such as {{model_type: llama}}")
        settings = open_bundle(recipe.base).weights.config
    check_exact(settings, recipe.name)
    return _config(settings)


def _config(settings: dict[str, Any]) -> PretrainedConfig:
    try:
        config: PretrainedConfig = AutoConfig.for_model(**settings)
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise RecipeError(f"architecture: {error}") from error
    return config
