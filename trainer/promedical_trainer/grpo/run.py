"""One GRPO run, stage by stage: pin the oracle, read, train, audit, summarise. An interrupted run resumes.

The output folder holds recipe.yaml, oracle.json, lineage.json, training/ (checkpoints, the table of completions,
TensorBoard's files), policy/, held_out/, and the summary as summary.md and summary.html. The table and held_out/ hold
texts; nothing else does.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from transformers import PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from promedical_client import PromedicalError
from promedical_client.address import Address
from promedical_client.cli.progress import progress_bar
from promedical_client.integrations import Grader
from promedical_data.report_tables import describe
from promedical_trainer.grpo.audit import audit, read_completions
from promedical_trainer.grpo.held_out import HeldOut, chosen, compare, judged, write_answers
from promedical_trainer.grpo.oracle import Pin, grader_of, introduced, pin_oracle
from promedical_trainer.grpo.policy import check_switch, make_tiny_policy, read_tokenizer, tiny_tokenizer
from promedical_trainer.grpo.prompts import PromptRows, read_prompts
from promedical_trainer.grpo.recipe import GRPO_RECIPES, TINY, GrpoRecipe
from promedical_trainer.grpo.reward import Failures, oracle_reward
from promedical_trainer.grpo.stopping import OracleLostError, Vote
from promedical_trainer.grpo.summary import PAGE, Summary, read_steps, warnings_on, write_summary
from promedical_trainer.grpo.training import train_steps
from promedical_trainer.runs.checkpoints import checkpoint_state, copy_model, newest_checkpoint
from promedical_trainer.runs.distributed import check_launched, on_main_process, processes
from promedical_trainer.runs.lineage import record_lineage
from promedical_trainer.runs.progress import Deadline, StepBar, TimeUpError
from promedical_trainer.runs.recipe_files import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A recipe, its data, its oracle and the folder that it fills.

    Attributes:
        recipe: All settings.
        oracle: The oracle to ask.
        data: The folder that the recipe's file names are relative to.
        output: The folder of the run; a run of the same recipe that was interrupted there is resumed.
        console: Where progress is printed.
        deadline: When to stop; the same run can resume later.
        allow_fake: Allow an oracle with the fake engine.
        embedded: The folder of the policy, if the recipe names the embedded model, which nothing here knows.
    """

    recipe: GrpoRecipe
    oracle: Address
    data: Path
    output: Path
    console: Console
    deadline: Deadline = field(default_factory=Deadline)
    allow_fake: bool = False
    embedded: Path | None = None

    @property
    def base(self) -> str:
        """The policy at the start."""
        return str(self.output / "tiny") if self.recipe.policy == TINY else str(self.embedded or self.recipe.policy)

    @property
    def training(self) -> Path:
        """Folder of the training stage."""
        return self.output / "training"

    @property
    def policy(self) -> Path:
        """Folder of the trained policy."""
        return self.output / "policy"


def train_policy(run: Run) -> Path:
    """Train a policy against the oracle.

    Returns:
        The page that sums the run up; the policy is beside it.

    Raises:
        RecipeError: A setting cannot work, or the folder belongs to another recipe.
        DataError: The data cannot be used.
        OracleError: The oracle is not one for this run.
        OracleUnreachableError: The oracle did not answer at the start.
        OracleLostError: Too many responses have no score; the same call resumes there.
        TimeUpError: The deadline passed; the same call resumes there.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]  # of loading and saving; the run has one of its own
    processes(run.recipe.optimisation.ranks_timeout_s)
    check_launched()
    on_main_process(lambda: GRPO_RECIPES.check(run.output, run.recipe))
    tokenizer, prompts = _inputs(run)
    with ExitStack() as held:
        pin = on_main_process(lambda: _begin(run, held))
        _train_and_sum_up(run, pin, tokenizer, prompts)
    return run.output / PAGE


def _inputs(run: Run) -> tuple[PreTrainedTokenizerBase, PromptRows]:
    """The policy's tokenizer and the prompts; the folder of the run is not needed yet."""
    tokenizer = tiny_tokenizer() if run.recipe.policy == TINY else read_tokenizer(run.base)
    check_switch(tokenizer, run.recipe.generation)
    prompts = read_prompts(run.data, run.recipe.prompts, tokenizer)
    _check_enough(run.recipe, prompts)
    return tokenizer, prompts


def _train_and_sum_up(run: Run, pin: Pin, tokenizer: PreTrainedTokenizerBase, prompts: PromptRows) -> None:
    _show(run, pin, prompts)
    on_main_process(lambda: record_lineage(run.output, run.training, run.data, prompts.reports))
    steps = run.recipe.optimisation.steps
    if on_main_process(lambda: checkpoint_state(run.training).steps) < steps:
        _train(run, pin, prompts, tokenizer)
    reached = on_main_process(lambda: checkpoint_state(run.training).steps)
    if reached < steps:
        raise TimeUpError("training", reached, steps)
    if processes().is_main_process:
        copy_model(newest_checkpoint(run.training), run.policy)
        summary = _summary(run, pin, prompts, tokenizer)
        write_summary(run.output, summary)
        for warning in warnings_on(summary):
            run.console.print(f"warning: {warning}", markup=False, highlight=False)


def _train(run: Run, pin: Pin, prompts: PromptRows, tokenizer: PreTrainedTokenizerBase) -> None:
    failures = Failures()
    vote = Vote(failures, run.recipe.oracle.max_unscored, run.deadline, run.oracle.url)
    reward = oracle_reward(grader_of(run.oracle, run.recipe.oracle, pin), failures)
    with progress_bar(run.console, "training steps", run.recipe.optimisation.steps, lines=True) as advance:
        shown = ("reward", "oracle/proficiency", "oracle/vetoed", "oracle/unscored", "kl", "completions/mean_length")
        bar = StepBar(run.console, advance, shown=shown)
        train_steps(run.base, tokenizer, prompts.rows, reward, run.recipe, run.training, [vote, bar])
    if vote.lost is not None:
        raise OracleLostError(vote.lost)


def _begin(run: Run, held: ExitStack) -> Pin:
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        raise RecipeError(
            "DeepSpeed makes its step while it computes gradients, so that a step without rewards could not be left "
            "out; launch with fsdp.yaml"
        )
    introduced(run.oracle, run.recipe.oracle, allow_fake=run.allow_fake)
    held.enter_context(GRPO_RECIPES.claimed(run.output, run.recipe))
    pin = pin_oracle(run.output, run.oracle, run.recipe.oracle, allow_fake=run.allow_fake)
    if run.recipe.policy == TINY:
        make_tiny_policy(Path(run.base))
    return pin


def _show(run: Run, pin: Pin, prompts: PromptRows) -> None:
    for report in prompts.reports:
        run.console.print(describe(report))
    left_out = f"{prompts.held_out} held out, {prompts.too_long} too long, {prompts.repeated} repeated"
    run.console.print(
        f"{len(prompts.rows)} prompts to learn from; left out were {left_out} and {prompts.refused_in_words}\n"
        f"oracle: {pin.name}, {pin.status}, fingerprint {pin.fingerprint}",
        markup=False,
        highlight=False,
    )
    if prompts.warning is not None:
        run.console.print(prompts.warning, markup=False, highlight=False)
    if pin.status != "trained":
        run.console.print("the oracle's verdicts are not learnt from labels: this run shows that training works")


def _check_enough(recipe: GrpoRecipe, prompts: PromptRows) -> None:
    needed = recipe.optimisation.responses * processes().num_processes // recipe.generation.group_size
    if len(prompts.rows) < needed:
        raise RecipeError(
            f"a step takes {needed} prompts, the data have {len(prompts.rows)}; lower optimisation.batch or accumulate"
        )


def _summary(run: Run, pin: Pin, prompts: PromptRows, tokenizer: PreTrainedTokenizerBase) -> Summary:
    return Summary(
        recipe=run.recipe,
        pin=pin,
        prompts=prompts,
        audit=audit(read_completions(run.training), run.recipe.oracle.reward_weights),
        steps=read_steps(run.training),
        held_out=_held_out(run, pin, prompts, tokenizer),
    )


def _held_out(run: Run, pin: Pin, prompts: PromptRows, tokenizer: PreTrainedTokenizerBase) -> HeldOut:
    """Compare the policy before and after, judged by the oracle of the run."""
    rows = chosen(prompts.unseen, run.recipe)
    if not rows:
        return HeldOut()
    run.console.print(f"answering {len(rows)} held-out prompts, before and after", markup=False, highlight=False)
    frames: dict[str, pd.DataFrame] = {}
    with closing(grader_of(run.oracle, run.recipe.oracle, pin)) as grader:
        for name, policy in (("before", run.base), ("after", str(run.policy))):
            path = run.output / "held_out" / f"{name}.jsonl"
            write_answers(policy, tokenizer, rows, run.recipe, path, run.deadline)
            frames[name] = _judged(path, rows, grader)
    return HeldOut(
        measures=compare(frames["before"], frames["after"]),
        unscored={name: len(rows) - len(frame) for name, frame in frames.items()},
    )


def _judged(path: Path, rows: Sequence[dict[str, Any]], grader: Grader) -> pd.DataFrame:
    try:
        return judged(path, rows, grader)
    except PromedicalError as error:
        raise OracleLostError(
            f"the policy is trained, but {path} could not be judged ({error}); check the oracle, then run the same "
            "command again"
        ) from error
