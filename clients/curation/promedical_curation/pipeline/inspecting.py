"""What a run's folder holds: how its stages stand, why rows failed, and one row's way through all stages."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from promedical_curation.asking.store import Payer, Store
from promedical_curation.errors import CurationError
from promedical_curation.pipeline.manifest import counts, read_manifest
from promedical_curation.pipeline.planning import Estimate
from promedical_curation.pipeline.row_files import DROPS, FAILED, ROWS, SCHEMAS, records
from promedical_curation.pipeline.run_folder import RunFile, read_run, states

_FIELDS: Final = ("source", "origin", "licence", "instruction", "reference")
_WAYS: Final = {ROWS: "kept", DROPS: "dropped", FAILED: "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A row at a stage.

    Attributes:
        stage: The stage's name.
        way: How the row left it: kept, dropped, failed.
        why: For a row that was dropped or failed: the reason and what it rested on.
        news: What is in its fields, and in its notes, that was not there at the stage before.
    """

    stage: str
    way: str
    why: str | None
    news: dict[str, str] = field(repr=False)


def follow(folder: Path, row_id: str) -> Iterator[Step]:
    """One row's way through the stages of a run.

    Raises:
        CurationError: The folder holds no run, or no stage has seen such a row.
    """
    seen = dict[str, str]()
    for stage in read_run(folder).stages:
        place = folder / "stages" / stage
        if read_manifest(place) is None:
            continue
        for name, way in _WAYS.items():
            for record in records(place / name, SCHEMAS[name], row_id=row_id):
                said = _said(record)
                news = {key: value for key, value in said.items() if seen.get(key) != value}
                yield Step(stage=stage, way=way, why=_why(way, record), news=news)
                seen = said
    if not seen:
        raise CurationError(f"{folder}: no stage has seen a row with the id {row_id}; ids are in the column id")


def step_text(step: Step) -> str:
    """A step as text."""
    lines = [f"{step.stage}: {step.way}"]
    if step.why is not None:
        lines.append(f"  {step.why}")
    return "\n".join([*lines, *(f"  {name}: {value}" for name, value in step.news.items())])


def _said(record: dict[str, Any]) -> dict[str, str]:
    """What a row says, by the name of the field, or of the stage whose note it is."""
    fields = {name: record[name] for name in _FIELDS if record[name] is not None}
    notes = {f"note of {stage}": _compact(note) for stage, note in json.loads(record["notes"]).items()}
    return {**fields, **notes}


def _why(way: str, record: dict[str, Any]) -> str | None:
    if way == "dropped":
        return f"reason: {record['reason']}; {record['note']}"
    return f"error: {record['error']}; {record['message']}" if way == "failed" else None


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def stage_lines(path: Path, run: RunFile, store: Store) -> Iterator[str]:
    """How the stages stand, what became of their rows, and what their answers cost."""
    spending = store.spending(run.id)
    for state in states(path, run.stages):
        yield f"{state.stage}: " + (f"out of date: {state.why}" if state.why else "up to date")
        if state.manifest is not None:
            yield f"  {counts(state.manifest)}"
        if spent := spending.get(state.stage):
            tokens = f"{spent.input_tokens:,} tokens in, {spent.output_tokens:,} out"
            yield f"  {spent.calls:,} answers in {spent.attempts:,} calls, {tokens}, ${spent.cost:.4f}"


def failure_lines(run: RunFile, store: Store) -> Iterator[str]:
    """Why rows failed, with an example of each reason."""
    found = dict[tuple[str, str, str], list[str]]()
    for stage in run.stages:
        for letter in store.dead_letters(Payer(run=run.id, stage=stage)):
            found.setdefault((stage, letter.error, letter.message), []).append(letter.row_id)
    if found:
        yield "dead letters:"
    for (stage, error, message), ids in found.items():
        yield f"  {stage}: {error} {len(ids):,}: {message}; such as row {ids[0]}"


def plan_lines(estimates: Sequence[Estimate]) -> Iterator[str]:
    """What a run will use."""
    for each in estimates:
        yield f"{each.stage}: {each.rows:,} rows, {each.calls:,} calls, of which {each.stored:,} are answered already"
        cost = "at an unknown price" if each.cost is None else f"${each.cost:.4f}"
        tokens = f"{each.input_tokens:,} tokens in, {each.output_tokens:,} out"
        yield f"  {tokens}, {cost}, {each.seconds / 60:.1f} minutes left"
    if not estimates:
        yield "all stages are up to date: nothing will be asked"
