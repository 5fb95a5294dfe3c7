"""The training stage: groups to steps, steps to a trained model, resumed from the last checkpoint if there is one."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import MappingProxyType

from transformers import TrainerCallback, TrainingArguments

from promedical_data.labelled import LabelledPrompt
from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.tree.tree_model import TreeModel
from promedical_trainer.rm.ablation import without_criteria, without_safety
from promedical_trainer.rm.eci_trainer import EciTrainer, StepData
from promedical_trainer.rm.encoding import EncodedPrompts, encode
from promedical_trainer.rm.expansion import Group
from promedical_trainer.rm.recipe import Optimisation, RecipeError, RmRecipe
from promedical_trainer.rm.splits import Splits
from promedical_trainer.runs.checkpoints import last_checkpoint
from promedical_trainer.runs.loop import loop_arguments


def readable(splits: Splits, renderer: PromptRenderer) -> Splits:
    """Leave out of what is evaluated what is longer than the model reads: no judge is asked about it."""
    left_out = 0

    def read(prompts: Sequence[LabelledPrompt]) -> tuple[LabelledPrompt, ...]:
        nonlocal left_out
        encoded = encode(prompts, renderer)
        left_out += encoded.too_long
        return encoded.prompts

    dev, test, physicians = read(splits.dev), read(splits.test), read(splits.physicians)
    parts = {name: replace(part, dev=read(part.dev), test=read(part.test)) for name, part in splits.parts.items()}
    return replace(splits, dev=dev, test=test, physicians=physicians, parts=parts, too_long=left_out)


def planned_steps(encoded: EncodedPrompts, splits: Splits, recipe: RmRecipe) -> list[list[Group]]:
    """All steps over what was encoded, as far as the recipe lets the model see it.

    Raises:
        RecipeError: There is nothing to learn in them.
    """
    own, parts = _by_part(encoded.prompts, splits, recipe)
    steps = steps_of(own, recipe, parts)
    _check_teaches(steps, recipe, left_out_of(encoded, recipe))
    return steps


def left_out_of(encoded: EncodedPrompts, recipe: RmRecipe) -> str:
    """Which responses and trees are left out, for people."""
    least = recipe.expansion.pairs_per_tree
    return f"{encoded.too_long} training responses are longer than optimisation.max_path_tokens" + (
        f", and trees of fewer pairs than {least} (expansion.pairs_per_tree) are left out" if least else ""
    )


def steps_of(
    prompts: Sequence[LabelledPrompt],
    recipe: RmRecipe,
    parts: Mapping[str, Sequence[LabelledPrompt]] = MappingProxyType({}),
) -> list[list[Group]]:
    """Groups of all epochs, gathered into steps of at least `batch_pairs` pairs; no step crosses an epoch.

    An epoch is a pass over the prompts. Parts that are mixed in have their share of every step by `weight`; they are
    streams, which begin again with other groups when they end.

    Raises:
        RecipeError: A part has no group that the loss reads.
    """
    optimisation = recipe.optimisation
    weights = {name: recipe.data.mix[name].weight for name in parts}
    own_pairs = max(1, round(optimisation.batch_pairs / (1 + sum(weights.values()))))
    streams = {name: _stream(name, part, recipe) for name, part in parts.items()}
    owed = dict.fromkeys(parts, 0.0)
    steps: list[list[Group]] = []
    for epoch in range(optimisation.epochs):
        for batch in _batched(recipe.expansion.groups(prompts, seed=optimisation.seed, epoch=epoch), own_pairs):
            mixed: list[Group] = []
            for name, stream in streams.items():
                owed[name] += weights[name] * _size(batch)
                drawn = [next(stream)]
                while _size(drawn) < owed[name]:
                    drawn.append(next(stream))
                owed[name] -= _size(drawn)
                mixed += drawn
            steps.append([*batch, *mixed])
    return steps[: optimisation.max_steps]


def _stream(name: str, prompts: Sequence[LabelledPrompt], recipe: RmRecipe) -> Iterator[Group]:
    """The groups of a part, pass after pass; each pass draws others."""
    for epoch in count():
        groups = recipe.expansion.groups(prompts, seed=recipe.optimisation.seed, epoch=epoch)
        taught = [group for group in groups if recipe.loss.reads(group)]
        if not taught:
            raise RecipeError(
                f"data.mix.{name}: its {len(prompts)} training prompts hold nothing that the loss reads: pairs of "
                "responses that a criterion tells apart, or labels; see the data report"
            )
        yield from taught


def _by_part(
    prompts: Sequence[LabelledPrompt], splits: Splits, recipe: RmRecipe
) -> tuple[Sequence[LabelledPrompt], dict[str, Sequence[LabelledPrompt]]]:
    """What the model sees of `data.train`, and of each part that is mixed in."""
    part_of = {prompt.id: name for name, part in splits.parts.items() for prompt in part.train}
    own = [prompt for prompt in prompts if prompt.id not in part_of]
    mixed = {name: [prompt for prompt in prompts if part_of.get(prompt.id) == name] for name in splits.parts}
    return _viewed(own, recipe), {name: _viewed(part, recipe) for name, part in mixed.items()}


def _viewed(prompts: Sequence[LabelledPrompt], recipe: RmRecipe) -> Sequence[LabelledPrompt]:
    """What the recipe lets the model see."""
    seen = prompts if recipe.safety else without_safety(prompts)
    return seen if recipe.criteria else without_criteria(seen)


def _check_teaches(steps: Sequence[Sequence[Group]], recipe: RmRecipe, left_out: str) -> None:
    """Steps that the loss reads nothing of would leave the base as it was, and call it trained."""
    if not any(recipe.loss.reads(group) for step in steps for group in step):
        raise RecipeError(
            "the training data hold nothing that the loss reads: pairs, which loss.pairwise and loss.dimensions weigh, "
            f"or labels, which loss.pointwise weighs; {left_out}; see the data report"
        )


def _batched(groups: Iterable[Group], pairs: int) -> Iterator[list[Group]]:
    """A remainder of less than half a batch joins the last step."""
    batch: list[Group] = []
    ready: list[Group] | None = None
    for group in groups:
        batch.append(group)
        if _size(batch) >= pairs:
            if ready:
                yield ready
            ready, batch = batch, []
    if ready and _size(batch) < pairs / 2:
        yield ready + batch
        return
    yield from (each for each in (ready, batch) if each)


def _size(groups: Iterable[Group]) -> int:
    """Pairs; a group without any, which only anchors, counts as one."""
    return sum(len(group.pairs) or 1 for group in groups)


def train_steps(
    model: TreeModel,
    steps: StepData,
    optimisation: Optimisation,
    folder: Path,
    *,
    on_gpu: bool,
    callbacks: Sequence[TrainerCallback] = (),
) -> EciTrainer:
    """Train; a checkpoint in the folder is resumed, with the same curve as without the interruption."""
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    trainer = EciTrainer(
        model,
        _arguments(optimisation, folder, on_gpu=on_gpu),
        steps,
        head_learning_rate=optimisation.head_learning_rate,
        callbacks=list(callbacks),
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    return trainer


def _arguments(optimisation: Optimisation, folder: Path, *, on_gpu: bool) -> TrainingArguments:
    return TrainingArguments(
        **loop_arguments(optimisation, folder),
        num_train_epochs=1,  # the data are the steps of all epochs
        weight_decay=optimisation.weight_decay,
        use_cpu=not on_gpu,
        ddp_find_unused_parameters=False,
    )
