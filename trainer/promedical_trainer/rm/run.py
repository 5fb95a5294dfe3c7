"""One reward-model run, stage by stage: read, train, write, calibrate, evaluate. Every stage resumes.

The output folder holds recipe.yaml, lineage.json, checkpoints/, scores/, evaluation.json and bundle/, which is what
`promedical-serve --model` takes. Evaluation loads that bundle as the service does, in fp32, so measured equals served.
"""

import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch
from transformers import set_seed

from promedical_client.cli.progress import progress_bar
from promedical_data.errata import warning_on
from promedical_data.report_tables import describe
from promedical_model.bundle.bundle import Bundle
from promedical_trainer.rm import UNTIL
from promedical_trainer.rm.backbone import trainable_model
from promedical_trainer.rm.bundles import open_base, write_bundle
from promedical_trainer.rm.card import Facts
from promedical_trainer.rm.decoder_config import decoder_config
from promedical_trainer.rm.eci_trainer import StepData
from promedical_trainer.rm.encoding import encode
from promedical_trainer.rm.evaluating import evaluate_run
from promedical_trainer.rm.evaluation_file import evaluated_until
from promedical_trainer.rm.learning_curve import LearningCurve, watched
from promedical_trainer.rm.recipe import RM_RECIPES, RecipeError
from promedical_trainer.rm.run_folder import Run
from promedical_trainer.rm.splits import Splits, read_splits
from promedical_trainer.rm.tiny_base import make_tiny_base
from promedical_trainer.rm.training import left_out_of, planned_steps, readable, train_steps
from promedical_trainer.runs.checkpoints import checkpoint_state, last_checkpoint, newest_checkpoint
from promedical_trainer.runs.distributed import check_launched, on_main_process, processes, stop_sharded_loading
from promedical_trainer.runs.lineage import record_lineage
from promedical_trainer.runs.progress import StepBar, TimeUpError


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
        until = max(run.until, evaluated_until(run.evaluation), key=UNTIL.index)
        evaluate_run(replace(run, until=until), splits, facts)


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
        _train_model(run, base, data, splits)
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


def _train_model(run: Run, base: Bundle, data: StepData, splits: Splits) -> None:
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
            callbacks=[StepBar(run.console, advance, run.deadline), *_curve(run, base, splits)],
        )


def _curve(run: Run, base: Bundle, splits: Splits) -> list[LearningCurve]:
    """The measurement while the model learns; only one process has the whole model at hand."""
    curve = run.recipe.curve
    if curve is None or not run.recipe.criteria or processes().num_processes > 1:
        return []
    dev = {"dev": splits.dev} | {name: part.dev for name, part in splits.parts.items() if part.dev}
    return [LearningCurve(run.curve, watched(dev, curve), base.renderer(), curve.every)]
