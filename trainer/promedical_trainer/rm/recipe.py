"""A recipe of a reward model: every setting of one training run, read once and frozen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from promedical_trainer.rm.expansion import Expansion
from promedical_trainer.rm.loss_weights import LossWeights
from promedical_trainer.runs.adapter import Adapter
from promedical_trainer.runs.recipe_files import Precision, RecipeBook, RecipeError, check_amounts, check_counts

__all__ = [
    "RM_RECIPES",
    "Adapter",
    "Curve",
    "DataChoice",
    "Optimisation",
    "Part",
    "RecipeError",
    "RmRecipe",
    "built_in_recipes",
    "dump_rm_recipe",
    "load_rm_recipe",
]

_STRICT: Final = {"extra": "forbid"}

Goal = Literal["overall", "proficiency", "excellence", "safety"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """More data, which are mixed into every step and evaluated apart.

    Attributes:
        train: Files to learn from.
        dev: Files to choose by, beside the dev split of the rest; they do not calibrate.
        test: Files to report on, once.
        weight: Pairs of this part in a step for each pair of `data.train`; at least one group is in every step.
    """

    __pydantic_config__ = _STRICT

    train: tuple[str, ...]
    dev: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.train:
            raise ValueError("train is empty: name a file to learn from")
        if not 0 < self.weight < float("inf"):
            raise ValueError(f"weight is {self.weight}: expected a finite number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChoice:
    """Files, relative to the folder of `--data`, and what is left out of them.

    Attributes:
        train: Files to learn from.
        dev: Files to choose by and to calibrate on.
        test: Files to report on, once.
        physicians: Files that are reported on as they are, where they exist.
        exclude_sources: The model neither learns from rows of these sources nor is calibrated on them.
        exclude_criteria: The model does not learn from these criteria: ids, as CRITERION or PROMPT/CRITERION, or
            "errata" for those that are known to have the wrong sign.
        dev_responses: The most responses of a dev prompt, drawn by a hash, so that a few prompts do not decide
            the calibration; None: all.
        mix: More data by name, such as drills, mixed into every step beside `train`.
    """

    __pydantic_config__ = _STRICT

    train: tuple[str, ...] = ("criteria/train.jsonl.gz",)
    dev: tuple[str, ...] = ("criteria/dev.jsonl.gz",)
    test: tuple[str, ...] = ("criteria/test.jsonl.gz",)
    physicians: tuple[str, ...] = ("criteria/kqa_physicians.jsonl.gz",)
    exclude_sources: tuple[str, ...] = ()
    exclude_criteria: tuple[str, ...] = ()
    dev_responses: int | None = None
    mix: dict[str, Part] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.dev_responses is not None and self.dev_responses < 1:
            raise ValueError(f"dev_responses is {self.dev_responses}: expected at least 1, or null for all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """Settings of the training loop.

    Attributes:
        epochs: Passes over the prompts; each draws other groups.
        max_steps: Stop after so many steps; None: all epochs.
        batch_pairs: Criterion-level pairs in a step, at least.
        tokens_per_pass: Tokens of one forward pass; memory, not mathematics.
        max_path_tokens: Responses with longer paths are left out, counted and reported.
        learning_rate: The learning rate of adapter or weights.
        head_learning_rate: The learning rate of the score head.
        warmup_share: The share of the steps in which the learning rate rises.
        scheduler: The learning rate's schedule, by its name in transformers.
        weight_decay: Weight decay, except on the head.
        max_grad_norm: Gradients are clipped to this norm.
        precision: bf16 is autocast; trained weights stay fp32.
        checkpointing: Recompute activations in the backward pass.
        save_every: Steps between checkpoints.
        seed: The seed of everything that is drawn.
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
        check_counts(self, "epochs", "batch_pairs", "tokens_per_pass", "max_path_tokens", "save_every")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}: expected at least 1, or null for all epochs")
        check_amounts(self, "learning_rate", "head_learning_rate", "weight_decay", "max_grad_norm")
        if not 0 <= self.warmup_share < 1:
            raise ValueError(f"warmup_share is {self.warmup_share}: expected at least 0 and below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A measurement on a little of dev at fixed steps, which shows whether more steps would help.

    Attributes:
        every: Steps between two measurements; one more follows the last step.
        prompts: The most prompts of dev, and of the dev split of each part, drawn by a hash.
        responses: The most responses of each of them, drawn by a hash.
    """

    __pydantic_config__ = _STRICT

    every: int = 100
    prompts: int = 24
    responses: int = 4

    def __post_init__(self) -> None:
        check_counts(self, "every", "prompts")
        check_counts(self, "responses", least=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class RmRecipe:
    """One reward model.

    Attributes:
        name: The bundle's name.
        description: One sentence, with what it is trained on.
        licence: The licence of the trained weights.
        attribution: Whose data it learns from, and their licences; the model card says so.
        base: "smollm2-135m-instruct", a hub id, a directory, or "tiny" for a tiny copy of the architecture.
        architecture: Configuration of the base as transformers names its fields; None: read from the base. Recipes
            state it where the base is large, so that memory can be planned without the weights.
        template: A built-in template by name, such as chatml-criterion@2; None: the base's own.
        adapter: LoRA; None: all weights but the embeddings are trained.
        data: What to read.
        expansion: How prompts become groups.
        loss: The weights of the loss.
        optimisation: The loop.
        curve: What is measured while the model learns; None: nothing. With several processes, nothing is either.
        criteria: False is the ablation "no criteria": one scalar per response.
        safety: False is the ablation "no safety data".
        goals: Pair accuracy wanted on the test split, by dimension or "overall"; the model card says what is missing.
    """

    __pydantic_config__ = _STRICT

    name: str
    description: str
    licence: str
    base: str
    attribution: str = ""
    architecture: dict[str, Any] | None = None
    template: str | None = None
    adapter: Adapter | None = None
    data: DataChoice = field(default_factory=DataChoice)
    expansion: Expansion = field(default_factory=Expansion)
    loss: LossWeights = field(default_factory=LossWeights)
    optimisation: Optimisation = field(default_factory=Optimisation)
    curve: Curve | None = None
    criteria: bool = True
    safety: bool = True
    goals: dict[Goal, float] = field(default_factory=dict)

    @property
    def ablations(self) -> tuple[str, ...]:
        """The parts that the recipe leaves out, as `--ablation` names them."""
        found = {
            "no-criteria": not self.criteria,
            "no-safety": not self.safety,
            "pairwise-only": not self.loss.pointwise,
            "pointwise-only": not self.loss.pairwise,
        }
        return tuple(name for name, left_out in found.items() if left_out)

    @property
    def bundle_name(self) -> str:
        """What the bundle and its card are called: an ablation is not the model itself."""
        return "-".join((self.name, *self.ablations))

    @property
    def summary(self) -> str:
        """The description on one line, with what was left out."""
        left_out = f" (an ablation: {', '.join(self.ablations)})" if self.ablations else ""
        return " ".join(self.description.split()) + left_out


RM_RECIPES: Final = RecipeBook("rm", RmRecipe)


def load_rm_recipe(name: str, overrides: Sequence[str] = ()) -> RmRecipe:
    """A built-in recipe by name or a file by path, with overrides such as "optimisation.epochs=1".

    Raises:
        RecipeError: No such recipe, not YAML, or a field is wrong.
    """
    return RM_RECIPES.load(name, overrides)


def dump_rm_recipe(recipe: RmRecipe) -> str:
    """The recipe as YAML, with every default written out."""
    return RM_RECIPES.dump(recipe)


def built_in_recipes() -> list[str]:
    """Names of the recipes of reward models that come with the package."""
    return RM_RECIPES.names
