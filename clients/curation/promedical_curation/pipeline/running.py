"""Runs what is out of date in a line of stages, one stage after another."""

import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from rich.console import Console

from promedical_curation.asking.asker import Asker
from promedical_curation.asking.store import DeadLetter, Payer, Store, open_store
from promedical_curation.errors import CurationError, TooManyFailedError
from promedical_curation.pipeline.engines import Embedded, Engine, batches
from promedical_curation.pipeline.manifest import Manifest, counts, write_manifest
from promedical_curation.pipeline.progress import StageProgress, stage_progress
from promedical_curation.pipeline.readiness import check_readiness
from promedical_curation.pipeline.row_files import ROWS, SCHEMAS, OutcomeWriter, RowFile
from promedical_curation.pipeline.run_folder import RunFolder, State
from promedical_curation.pipeline.stages import RowStage, Source, Stage, asks
from promedical_curation.pipeline.table_outcomes import each_once, unique
from promedical_curation.pipeline.worker import Means
from promedical_curation.rows import Failed, Outcome, Row
from promedical_data.files import sha256_of, whole_folder

MAX_FAILED: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Which stages to run, and when to stop.

    Attributes:
        only: The name of the one stage to run; None for all that are out of date.
        again: Whether to run stages that are up to date as well. Answers come from the store.
        retry_failed: Whether to run stages again of which rows failed, and to ask again what failed for good.
        max_failed: The largest share of a stage's rows that may fail; above it, no later stage is run.
        free_only: Whether to stop before the first stage that would ask a model.
    """

    only: str | None = None
    again: bool = False
    retry_failed: bool = False
    max_failed: float = MAX_FAILED
    free_only: bool = False


class Runner:
    """Runs a line of stages in its folder.

    Args:
        run: The folder, which is this process's own.
        means: By what means questions are asked.
        console: Where progress is shown.
        engine: Who hands the rows to the worker; None for this process.
    """

    def __init__(self, run: RunFolder, means: Means, console: Console, engine: Engine | None = None) -> None:
        self._run = run
        self._means = means
        self._console = console
        self._progress = StageProgress(None)
        self._engine = engine or Embedded(self._watch)

    def run(self, wishes: Wishes) -> None:
        """Run what has to be run.

        Raises:
            TooManyFailedError: Too many rows of a stage failed.
            CurationError: A stage cannot run, or had to stop. What was asked is in the store.
        """
        names = [stage.name for stage in self._run.stages]
        if wishes.only is not None and wishes.only not in names:
            raise CurationError(f"stage {wishes.only}: is not one of {', '.join(names)}")
        with closing(open_store(self._means.store)) as store:
            store.forget_claims(self._run.id)
            for index, stage in enumerate(self._run.stages):
                if asks(stage) and is_due(self._run.states()[index], wishes):
                    if wishes.free_only:
                        return
                    self._check(store, wishes)
                self._bring_up_to_date(index, stage, store, wishes)
                if stage.name == wishes.only:
                    return

    def _bring_up_to_date(self, index: int, stage: Stage, store: Store, wishes: Wishes) -> None:
        state = self._run.states()[index]
        manifest = state.manifest
        if wishes.only not in {None, stage.name}:
            if state.why:
                raise CurationError(
                    f"stage {wishes.only} needs stage {stage.name}, which is out of date ({state.why}); run it first"
                )
            return
        if is_due(state, wishes):
            try:
                manifest = self._run_stage(index, stage, store, wishes)
            except OSError as error:
                raise CurationError(f"{self._run.folder(stage.name)}: cannot be written: {error.strerror}") from None
        assert manifest is not None
        done = "" if is_due(state, wishes) else " (up to date)"
        self._console.print(f"{stage.name}{done}: {counts(manifest)}", markup=False, highlight=False, soft_wrap=True)
        _check_share(manifest, wishes.max_failed)

    def _check(self, store: Store, wishes: Wishes) -> None:
        """Before a stage asks, check the endpoints of all stages that will."""
        states = self._run.states()
        asked = list[tuple[RowStage, Iterable[Row] | None]]()
        for index, (stage, state) in enumerate(zip(self._run.stages, states, strict=True)):
            if isinstance(stage, RowStage) and wishes.only in {None, stage.name} and is_due(state, wishes):
                known = states[index - 1].why is None
                asked.append((stage, self._run.rows(self._run.stages[index - 1].name) if known else None))
        if not self._means.terms.replay:
            check_readiness(asked, store, self._run.id)

    def _run_stage(self, index: int, stage: Stage, store: Store, wishes: Wishes) -> Manifest:
        started, payer = time.time(), Payer(run=self._run.id, stage=stage.name)
        rows = self._run.rows(self._run.stages[index - 1].name) if index else None
        if wishes.retry_failed:
            store.exhume(payer, before=started)
        folder = self._run.folder(stage.name)
        with whole_folder(folder) as draft:
            with (
                OutcomeWriter(draft) as writer,
                stage_progress(self._console, stage.name, None if rows is None else len(rows)) as self._progress,
            ):
                self._write(stage, rows, writer, store)
            if not isinstance(stage, RowStage) and stage.beside is not None:
                stage.beside(RowFile(draft / ROWS), draft)
            manifest = Manifest(
                stage=stage.name,
                fingerprint=self._run.fingerprints[stage.name],
                chain=self._run.chain(stage.name),
                input_digest=None if rows is None else sha256_of(rows.path),
                rows_in=writer.counts.rows_in,
                kept=writer.counts.kept,
                dropped=dict(sorted(writer.counts.dropped.items())),
                failed=dict(sorted(writer.counts.failed.items())),
                digests={name: sha256_of(draft / name) for name in SCHEMAS},
                seconds=round(time.time() - started, 3),
            )
            write_manifest(draft, manifest)
            shutil.rmtree(folder, ignore_errors=True)
        store.exhume(payer, before=started)
        return manifest

    def _write(self, stage: Stage, rows: RowFile | None, writer: OutcomeWriter, store: Store) -> None:
        def sink(outcomes: Sequence[Outcome]) -> None:
            for outcome in outcomes:
                writer.add(outcome)
            self._progress.advance(len(outcomes))

        if isinstance(stage, RowStage):
            assert rows is not None
            self._engine.run(stage, rows, self._means, sink)
            if writer.counts.rows_in != len(rows):
                raise CurationError(
                    f"stage {stage.name}: got {writer.counts.rows_in:,} outcomes for {len(rows):,} rows"
                )
            return
        payer = Payer(run=self._run.id, stage=stage.name)
        outcomes = unique(stage.read()) if isinstance(stage, Source) else each_once(stage, rows or ())
        for some in batches(outcomes):
            store.bury([_letter(each) for each in some if isinstance(each, Failed)], payer)
            sink(some)

    def _watch(self, asker: Asker) -> None:
        self._progress.asker = asker


def is_due(state: State, wishes: Wishes) -> bool:
    """Whether a stage has to run."""
    failed = state.manifest is not None and bool(state.manifest.failed)
    return state.why is not None or wishes.again or (wishes.retry_failed and failed)


def _check_share(manifest: Manifest, most: float) -> None:
    if manifest.failed_share > most:
        failed = f"{sum(manifest.failed.values()):,} of {manifest.rows_in:,} rows failed"
        raise TooManyFailedError(
            f"stage {manifest.stage}: {failed}, a share of {manifest.failed_share:.3f}, above the {most} that is "
            "allowed; no later stage was run. `status` shows why they failed. --retry-failed asks again, --max-failed "
            "allows more"
        )


def _letter(failed: Failed) -> DeadLetter:
    return DeadLetter(row_id=failed.row.id, error=failed.error, message=failed.message)
