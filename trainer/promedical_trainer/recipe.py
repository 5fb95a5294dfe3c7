"""A recipe: every setting of one training run, read once from YAML and frozen. Unknown names are errors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from promedical_trainer.rm.expansion import Expansion
from promedical_trainer.rm.passes import LossWeights

_STRICT: Final = {"extra": "forbid"}
Precision = Literal["fp32", "bf16"]


class RecipeError(Exception):
    """A recipe cannot be used. The message names the field, what was expected and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChoice:
    """Files, relative to the folder of `--data`, and what is left out of them.

    Attributes:
        train: Files to learn from.
        dev: To choose by and to calibrate on.
        test: To report on, once.
        physicians: Reported as they come, if there.
        exclude_sources: Rows of these sources are not learnt from.
        dev_responses: At most so many responses of a dev prompt, so that a few prompts do not decide the
            calibration; None: all.
    """

    __pydantic_config__ = _STRICT

    train: tuple[str, ...] = ("criteria/train.jsonl.gz",)
    dev: tuple[str, ...] = ("criteria/dev.jsonl.gz",)
    test: tuple[str, ...] = ("criteria/test.jsonl.gz",)
    physicians: tuple[str, ...] = ("criteria/kqa_physicians.jsonl.gz",)
    exclude_sources: tuple[str, ...] = ()
    dev_responses: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """LoRA (arXiv 2106.09685), by peft. Dropout is 0, since a tree shares tokens between paths."""

    __pydantic_config__ = _STRICT

    rank: int = 8
    alpha: int = 16
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """The loop.

    Attributes:
        epochs: Passes over the prompts; each draws other groups.
        max_steps: Stop after so many steps; None: all epochs.
        batch_pairs: Criterion-level pairs in a step, at least.
        tokens_per_pass: Tokens of one forward pass; memory, not mathematics.
        max_path_tokens: Responses with longer paths are left out, counted and reported.
        learning_rate: Of adapter or weights.
        head_learning_rate: Of the score head.
        warmup_share: Of the steps.
        scheduler: Of transformers.
        weight_decay: Not on the head.
        max_grad_norm: Clip.
        precision: bf16 is autocast; trained weights stay fp32.
        checkpointing: Recompute activations in the backward pass.
        save_every: Steps between checkpoints.
        seed: Of everything.
    """

    __pydantic_config__ = _STRICT

    epochs: int = 2
    max_steps: int | None = None
    batch_pairs: int = 64
    tokens_per_pass: int = 8192
    max_path_tokens: int = 8192
    learning_rate: float = 5e-6
    head_learning_rate: float = 5e-6
    warmup_share: float = 0.05
    scheduler: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    precision: Precision = "fp32"
    checkpointing: bool = False
    save_every: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_pairs", "tokens_per_pass", "max_path_tokens", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: expected at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RmRecipe:
    """One reward model.

    Attributes:
        name: Of the bundle.
        description: One sentence, with what it is trained on.
        licence: Of the trained weights.
        base: "smollm2-135m-instruct", a hub id, a directory, or "shrunken" for a tiny copy of the architecture.
        architecture: Configuration of the base as transformers names its fields; None: read from the base. Recipes
            state it where the base is large, so that its memory can be planned without its weights.
        adapter: LoRA; None: all weights are trained.
        data: What to read.
        expansion: How prompts become groups.
        loss: Its weights.
        optimisation: The loop.
        criteria: False is the ablation "no criteria": one scalar per response.
        safety: False is the ablation "no safety data".
    """

    __pydantic_config__ = _STRICT

    name: str
    description: str
    licence: str
    base: str
    architecture: dict[str, Any] | None = None
    adapter: Adapter | None = None
    data: DataChoice = field(default_factory=DataChoice)
    expansion: Expansion = field(default_factory=Expansion)
    loss: LossWeights = field(default_factory=LossWeights)
    optimisation: Optimisation = field(default_factory=Optimisation)
    criteria: bool = True
    safety: bool = True


_RM: Final[TypeAdapter[RmRecipe]] = TypeAdapter(RmRecipe)
_FOLDER: Final = files(__package__) / "recipes"


def load_rm_recipe(name: str, overrides: Sequence[str] = ()) -> RmRecipe:
    """A built-in recipe by name or a file by path, with overrides such as "optimisation.epochs=1".

    Raises:
        RecipeError: No such recipe, not YAML, or a field is wrong.
    """
    tree = _read(name)
    for override in overrides:
        _apply(tree, override)
    try:
        return _RM.validate_python(tree)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the recipe"
        raise RecipeError(f"recipe {name}: {where}: {problem['msg']}") from error


def dump_rm_recipe(recipe: RmRecipe) -> str:
    """The recipe as YAML, with every default written out."""
    return yaml.safe_dump(_RM.dump_python(recipe, mode="json"), sort_keys=False, allow_unicode=True)


def built_in_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(each.name.removesuffix(".yaml") for each in _FOLDER.iterdir() if each.name.endswith(".yaml"))


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    source = path if path.suffix in {".yaml", ".yml"} else _FOLDER / f"{name}.yaml"
    try:
        tree = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(built_in_recipes())
        raise RecipeError(f"recipe {name}: cannot be read; give a path to a .yaml file or one of {known}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"recipe {name}: is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise RecipeError(f"recipe {name}: expected a mapping of settings")
    return tree


def _apply(tree: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    *parents, last = path.split(".")
    if not equals or not last:
        raise RecipeError(f"override {override!r}: expected name=value, such as optimisation.epochs=1")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise RecipeError(f"override {override!r}: {parent} is not a section")
        tree = child
    tree[last] = yaml.safe_load(text)
