"""One reward-model run, stage by stage: read, train, write, calibrate, evaluate. Every stage resumes.

The output folder holds recipe.yaml, lineage.json, checkpoints/, scores/, evaluation.json and bundle/, which is what
`promedical-serve --model` takes. Evaluation loads that bundle as the service does, in fp32, so measured equals served.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from transformers import set_seed

from promedical_client.cli.progress import progress_bar
from promedical_data.errata import warning_on
from promedical_data.labelled import LabelledPrompt
from promedical_data.measures.bag_of_words import BAG_OF_WORDS, BagOfWords
from promedical_data.measures.evaluation import evaluate
from promedical_data.measures.predictions import Key, Predictions, table
from promedical_data.measures.slices import Slice, slices
from promedical_data.report_tables import describe
from promedical_data.variants import CRITERION_ONLY
from promedical_model.bundle.bundle import Bundle, open_bundle
from promedical_model.calibration import Calibration
from promedical_trainer.rm import UNTIL, Until
from promedical_trainer.rm.backbone import trainable_model
from promedical_trainer.rm.bundles import calibrate_bundle, open_base, write_bundle
from promedical_trainer.rm.calibration import FittedCalibration, fit_calibration, predict
from promedical_trainer.rm.card import Facts, write_card
from promedical_trainer.rm.decoder_config import TINY, decoder_config
from promedical_trainer.rm.eci_trainer import StepData
from promedical_trainer.rm.encoding import encode
from promedical_trainer.rm.evaluation_file import UNTRAINED, evaluated_until, write_evaluation
from promedical_trainer.rm.recipe import RM_RECIPES, RecipeError, RmRecipe
from promedical_trainer.rm.scores import BundleScorer, score
from promedical_trainer.rm.splits import Splits, read_splits
from promedical_trainer.rm.tiny_base import make_tiny_base
from promedical_trainer.rm.training import left_out_of, planned_steps, readable, train_steps
from promedical_trainer.runs.checkpoints import checkpoint_state, last_checkpoint, newest_checkpoint
from promedical_trainer.runs.distributed import check_launched, on_main_process, processes, stop_sharded_loading
from promedical_trainer.runs.lineage import record_lineage
from promedical_trainer.runs.progress import Deadline, StepBar, TimeUpError


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A recipe, its data and the folder that it fills.

    Attributes:
        recipe: All settings.
        data: Folder that the recipe's file names are relative to.
        output: Folder of the run; a run of the same recipe that was interrupted there is resumed.
        console: Where progress is printed.
        deadline: When to stop; the same run can resume later.
        shrink: Train a tiny copy of the recipe's architecture, to test that everything else works.
        until: Last part of the evaluation. "dev" leaves the test split alone, "test" leaves out the base as a control,
            which takes as long as the model itself. The same run can do the rest later, and drops nothing.
    """

    recipe: RmRecipe
    data: Path
    output: Path
    console: Console
    deadline: Deadline = field(default_factory=Deadline)
    shrink: bool = False
    until: Until = "controls"

    @property
    def bundle(self) -> Path:
        """Folder of the bundle that the run writes."""
        return self.output / "bundle"

    @property
    def is_tiny(self) -> bool:
        """Whether the base is a tiny copy, which is made in the folder."""
        return self.shrink or self.recipe.base == TINY

    @property
    def base(self) -> str:
        """The base model, as a name or a folder."""
        return str(self.output / "base") if self.is_tiny else self.recipe.base

    @property
    def trained(self) -> RmRecipe:
        """The recipe on what is trained; a tiny copy has few layers, and an adapter takes them all."""
        adapter, recipe = self.recipe.adapter, self.recipe
        if adapter is not None and self.base != recipe.base:
            adapter = replace(adapter, layers=None)
        if self.shrink:
            recipe = replace(recipe, name=f"{recipe.name}-{TINY}", description=f"Tiny copy: {recipe.description}")
        return replace(recipe, base=self.base, adapter=adapter)

    @property
    def named(self) -> RmRecipe:
        """The recipe as the folder and the card name it: a tiny copy is no run of the model itself."""
        return replace(self.trained, base=f"{TINY} {self.recipe.base}") if self.shrink else self.recipe

    @property
    def checkpoints(self) -> Path:
        """Folder of the training stage's checkpoints."""
        return self.output / "checkpoints"

    @property
    def scores(self) -> Path:
        """Folder with the logits of every split."""
        return self.output / "scores"

    @property
    def evaluation(self) -> Path:
        """File with what was measured."""
        return self.output / "evaluation.json"


def train_reward_model(run: Run) -> Path:
    """Train, calibrate, evaluate, and write a bundle, whose folder is returned.

    Raises:
        RecipeError: A setting cannot work, or the folder belongs to another recipe or to other data.
        DataError: The data cannot be used.
        BundleError: The base cannot be loaded.
        CalibrationError: The model learnt nothing that can be calibrated.
        TimeUpError: The deadline passed; the same call resumes there.
    """
    check_launched()
    on_main_process(lambda: RM_RECIPES.check(run.output, run.named))
    read = read_splits(run.data, run.recipe.data)
    base = None if run.is_tiny else open_base(run.trained)
    with ExitStack() as held:
        on_main_process(lambda: _claim(run, held))  # the inputs are there: a wrong path leaves no folder behind
        _train_and_evaluate(run, read, base or open_base(run.trained))
    return run.bundle


def _train_and_evaluate(run: Run, read: Splits, base: Bundle) -> None:
    splits = readable(read, base.renderer())
    hardware = on_main_process(lambda: record_lineage(run.output, run.checkpoints, run.data, splits.reports))
    _show(run, splits)
    facts = _train_stage(run, splits, base, hardware)
    if processes().is_main_process:
        stop_sharded_loading()
        write_bundle(run.bundle, newest_checkpoint(run.checkpoints), run.trained, base)
        _evaluate(replace(run, until=max(run.until, evaluated_until(run.evaluation), key=UNTIL.index)), splits, facts)


def _claim(run: Run, held: ExitStack) -> None:
    """Claim the folder for this run, or check that it belongs to it."""
    held.enter_context(RM_RECIPES.claimed(run.output, run.named))
    if run.is_tiny:
        make_tiny_base(Path(run.base), decoder_config(run.recipe))


def _show(run: Run, splits: Splits) -> None:
    for report in splits.reports:
        run.console.print(describe(report))
    warning = warning_on(splits.train, "data.exclude_criteria=[errata]")
    if warning is not None:
        run.console.print(warning, markup=False, highlight=False)
    for name in splits.missing:
        run.console.print(f"{name} does not exist: the report has no physicians' labels from it")
    if splits.leaks:
        run.console.print(f"{len(splits.leaks)} training prompts are also in another split and were left out")
    if splits.dev_leaks:
        run.console.print(f"{len(splits.dev_leaks)} dev prompts are also in test or physicians and were left out")


def _train_stage(run: Run, splits: Splits, base: Bundle, hardware: str) -> Facts:
    optimisation = run.recipe.optimisation
    renderer = base.renderer()
    renderer.max_path_tokens = min(renderer.max_path_tokens, optimisation.max_path_tokens)
    encoded = encode(splits.learnt, renderer)  # before the view, so that ablations leave out the same responses
    left_out = left_out_of(encoded, run.recipe)
    steps = planned_steps(encoded, splits, run.recipe)
    prompts = len({group.prompt.id for step in steps for group in step})
    run.console.print(f"{len(steps)} steps over {prompts} of {len(splits.learnt)} prompts; {left_out}")
    state = processes()
    data = StepData(
        steps,
        encoded,
        run.recipe.loss,
        tokens_per_pass=optimisation.tokens_per_pass,
        rank=state.process_index,
        world_size=state.num_processes,
    )
    if on_main_process(lambda: checkpoint_state(run.checkpoints).steps) < len(steps):
        on_main_process(lambda: _forget(run))
        _train_model(run, base, data)
    reached = on_main_process(lambda: checkpoint_state(run.checkpoints))
    if reached.steps < len(steps):
        raise TimeUpError("training", reached.steps, len(steps))
    return Facts(
        steps=len(steps),
        pairs=sum(len(group.pairs) for step in steps for group in step),
        prompts=prompts,
        responses=sum(len(prompt.responses) for prompt in splits.learnt),
        too_long=encoded.too_long,
        seconds=reached.seconds,
        hardware=hardware,
    )


def _forget(run: Run) -> None:
    """Delete what was made from other weights.

    Raises:
        RecipeError: There is a bundle without checkpoints, and hours of training would replace it.
    """
    if run.bundle.is_dir() and last_checkpoint(run.checkpoints) is None:
        raise RecipeError(
            f"{run.bundle} exists, but its checkpoints do not: give another --output, or delete {run.bundle} to "
            "train again"
        )
    run.evaluation.unlink(missing_ok=True)
    for folder in (run.scores, run.bundle):
        if folder.is_dir():
            shutil.rmtree(folder)


def _train_model(run: Run, base: Bundle, data: StepData) -> None:
    on_gpu, optimisation = torch.cuda.is_available(), run.recipe.optimisation
    set_seed(optimisation.seed)  # before the adapter gets its random start
    frozen = torch.bfloat16 if optimisation.precision == "bf16" else torch.float32
    model = trainable_model(base, run.trained.adapter, dtype=frozen, checkpointing=optimisation.checkpointing)
    with progress_bar(run.console, "training steps", len(data), lines=True) as advance:
        train_steps(
            model,
            data,
            optimisation,
            run.checkpoints,
            on_gpu=on_gpu,
            callbacks=[StepBar(run.console, advance, run.deadline)],
        )


def _evaluate(run: Run, splits: Splits, facts: Facts) -> None:
    """Calibrate on dev, then evaluate what is served: once on test, and on the physicians' labels."""
    trained = partial(_logits, run, str(run.bundle))
    dev = trained("dev", splits.dev)
    raw = predict(dev, splits.dev, Calibration())
    fitted = fit_calibration(table(splits.calibrating, raw), splits.calibrating)
    calibrate_bundle(run.bundle, fitted.cells)
    predictions, shown = predict(dev, splits.dev, fitted.calibration), splits.dev
    evaluations = {"dev": evaluate(splits.dev, predictions)}
    sliced = {"dev": slices(splits.dev, predictions)}
    sliced |= _sliced_parts("dev", {name: part.dev for name, part in splits.parts.items()}, trained, fitted)
    if run.until != "dev":
        predictions, shown = predict(trained("test", splits.test), splits.test, fitted.calibration), splits.test
        blank = _logits(run, str(run.bundle), "test-criterion-only", splits.test, blank=True)
        evaluations["test"] = evaluate(
            splits.test,
            predictions,
            controls={BAG_OF_WORDS: BagOfWords().predictions(splits.train, splits.test)} | _untrained(run, splits.test),
            blind={CRITERION_ONLY: predict(blank, splits.test, fitted.calibration)},
        )
        sliced["test"] = slices(splits.test, predictions)
        sliced |= _sliced_parts("test", {name: part.test for name, part in splits.parts.items()}, trained, fitted)
    if run.until != "dev" and splits.physicians:
        logits = trained("physicians", splits.physicians)
        evaluations["physicians"] = evaluate(splits.physicians, predict(logits, splits.physicians, fitted.calibration))
    write_card(run.bundle, run.named, splits, facts, fitted, evaluations, sliced, table(shown, predictions))
    # Last: it says how far everything is.
    write_evaluation(run.evaluation, splits, facts, fitted, evaluations, sliced)


def _sliced_parts(
    split: str,
    prompts: Mapping[str, Sequence[LabelledPrompt]],
    trained: Callable[[str, Sequence[LabelledPrompt]], dict[Key, float]],
    fitted: FittedCalibration,
) -> dict[str, tuple[Slice, ...]]:
    """What was measured on a split of each part that has one."""
    return {
        f"{split}, {name}": slices(each, predict(trained(f"{split}-{name}", each), each, fitted.calibration))
        for name, each in prompts.items()
        if each
    }


def _untrained(run: Run, prompts: Sequence[LabelledPrompt]) -> dict[str, Predictions]:
    if run.until != "controls":
        return {}
    return {UNTRAINED: predict(_logits(run, run.base, "test-untrained", prompts), prompts, Calibration())}


def _logits(
    run: Run, model: str, name: str, prompts: Sequence[LabelledPrompt], *, blank: bool = False
) -> dict[Key, float]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    scorer = partial(BundleScorer, open_bundle(model), device, criteria=run.recipe.criteria, blank=blank)
    with progress_bar(run.console, f"scoring {name}", len(prompts), lines=True) as advance:

        def scored(done: int) -> None:
            advance(done)
            run.deadline.check(f"scoring {name}", done, len(prompts))

        return score(scorer, prompts, run.scores / f"{name}.jsonl", scored)
