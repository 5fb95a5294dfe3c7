"""Rounds of review in a run's folder: drawn and handed out, decisions taken in, and what they say of all rubrics.

A round is `rounds/NUMBER` with `round.jsonl`, what physicians see, `decisions.jsonl`, what they decided so far, and
`estimate.json`. Rows that were decided on are not drawn again; those that were drawn only may be.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from promedical_curation.errors import CurationError
from promedical_curation.pipeline.row_files import ROWS, RowFile
from promedical_curation.pipeline.run_folder import RunFile, states
from promedical_curation.rounds.estimate import may_stop, pass_rate
from promedical_curation.rounds.sampling import Drawn, draw
from promedical_curation.rubrics.pool import Example, Pool
from promedical_curation.stages import gating, reviewing
from promedical_data.errors import DataError
from promedical_data.files import whole_folder, write_atomically
from promedical_data.measures.pass_rate import PassRate
from promedical_data.rounds.files import read_decisions, read_round, write_decisions, write_round
from promedical_data.rounds.round import Decision, Item

FOLDER: Final = "rounds"
_ROUND: Final = "round.jsonl"
_DECISIONS: Final = "decisions.jsonl"
_ESTIMATE: Final = "estimate.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRound:
    """A round.

    Attributes:
        number: From 1.
        id: The name that its files carry.
        folder: Where they are.
        items: What physicians see.
        decisions: What they decided so far, by row.
    """

    number: int
    id: str
    folder: Path
    items: Sequence[Item]
    decisions: Mapping[str, Decision]

    def rate(self, level: float) -> PassRate | None:
        """What its decisions say of all rubrics that it could have drawn; None without decisions."""
        drawn = [Drawn(id=item.row, probability=item.probability) for item in self.items]
        passed = reviewing.passed_strictly(self.decisions.values())
        return pass_rate(drawn, passed, level=level) if passed else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file of decisions brought: its round as it is now, and how many decisions are new or have changed."""

    round: ReviewRound
    new: int
    changed: int


def read_rounds(run: Path) -> list[ReviewRound]:
    """The rounds of a run, in their order.

    Raises:
        CurationError: A file of one is broken.
    """
    folder = run / FOLDER
    numbers = sorted(int(each.name) for each in folder.iterdir() if each.name.isdecimal()) if folder.is_dir() else []
    return [_read(folder / str(number), number) for number in numbers]


def decisions_of(rounds: Sequence[ReviewRound]) -> dict[str, Decision]:
    """All decisions, by row."""
    return {row: decision for each in rounds for row, decision in each.decisions.items()}


def pool_of(rounds: Sequence[ReviewRound]) -> Pool:
    """Corrected rubrics as examples for drafters."""
    return Pool(_examples(rounds))


def gated_rows(path: Path, run: RunFile) -> RowFile:
    """The rows that passed the gate of a run.

    Raises:
        CurationError: The run has no gate, or it is out of date.
    """
    state = next((each for each in states(path, run.stages) if each.stage == gating.NAME), None)
    if state is None:
        raise CurationError(f"{path}: its run has no stage {gating.NAME}; rounds come after it")
    if state.why:
        raise CurationError(f"{path}: stage {gating.NAME} is out of date ({state.why}); run it first")
    return RowFile(path / "stages" / gating.NAME / ROWS)


def hand_out(found: ReviewRound, to: Path) -> None:
    """Write a round for physicians.

    Raises:
        CurationError: The file cannot be written.
    """
    try:
        write_round(to, found.id, found.items)
    except DataError as error:
        raise CurationError(str(error)) from None


def draw_round(run: Path, run_id: str, rows: RowFile, size: int, seed: int) -> ReviewRound:
    """Draw the next round from the rows that passed the gate. The last one, if it has no decisions, is still open.

    Raises:
        CurationError: No rubric is left to review.
    """
    rounds = read_rounds(run)
    if rounds and not rounds[-1].decisions:
        return rounds[-1]
    decided, number = decisions_of(rounds), len(rounds) + 1
    seen = {reviewing.cluster_of(row) for row in rows if row.id in decided}
    signals = {row.id: reviewing.signals_of(row, seen) for row in rows if row.id not in decided}
    if not signals:
        raise CurationError(f"{run}: no rubric is left to review: {len(decided):,} have been decided on")
    drawn = {each.id: each.probability for each in draw(signals, size, seed=seed + number)}
    items = [reviewing.item_of(row, drawn[row.id]) for row in rows if row.id in drawn]
    (run / FOLDER).mkdir(exist_ok=True)
    with whole_folder(run / FOLDER / str(number)) as draft:
        write_round(draft / _ROUND, f"{run_id}-{number}", items)
    return _read(run / FOLDER / str(number), number)


def import_decisions(run: Path, file: Path, level: float) -> Imported:
    """Take in the decisions of a file. A row that was decided on before gets its new decision.

    Raises:
        CurationError: The file holds no decisions, or is about another round or other rows.
    """
    try:
        round_id, decided = read_decisions(file)
    except DataError as error:
        raise CurationError(str(error)) from None
    rounds = {each.id: each for each in read_rounds(run)}
    if round_id not in rounds:
        raise CurationError(f"{file}: is about round {round_id}; the rounds of {run} are {', '.join(rounds) or 'none'}")
    found, given = rounds[round_id], {each.row: each for each in decided}
    if strangers := sorted(given.keys() - {item.row for item in found.items}):
        raise CurationError(f"{file}: row {strangers[0]} is not of round {round_id}; import decisions about its rows")
    _check_accepted(file, found, given)
    changed = sum(row in found.decisions and found.decisions[row] != each for row, each in given.items())
    write_decisions(found.folder / _DECISIONS, round_id, {**found.decisions, **given}.values())
    now = _read(found.folder, found.number)
    _write_estimate(now, level)
    return Imported(round=now, new=len(given.keys() - found.decisions.keys()), changed=changed)


def summary(rounds: Sequence[ReviewRound], *, target: float, level: float) -> list[str]:
    """How the rounds stand, and whether reviewing may stop, in words."""
    rates = [each.rate(level) for each in rounds]
    lines = [_line(each, rate) for each, rate in zip(rounds, rates, strict=True)]
    known = [rate for rate in rates if rate is not None]
    if may_stop(known, target):
        return [*lines, f"reviewing may stop: the lower bounds of the last two rounds reach {target:g}"]
    return [*lines, f"go on reviewing until the lower bounds of two rounds in a row reach {target:g}"]


def _line(each: ReviewRound, rate: PassRate | None) -> str:
    begin = f"round {each.number} ({each.id}): {len(each.decisions):,} of {len(each.items):,} decided"
    if rate is None:
        return f"{begin}; no estimate yet"
    return f"{begin}; strict pass rate {rate.value:.3f}, interval {rate.low:.3f} to {rate.high:.3f}"


def _read(folder: Path, number: int) -> ReviewRound:
    try:
        round_id, items = read_round(folder / _ROUND)
        decisions = folder / _DECISIONS
        found = read_decisions(decisions)[1] if decisions.is_file() else []
    except DataError as error:
        raise CurationError(str(error)) from None
    decided = {each.row: each for each in found}
    return ReviewRound(number=number, id=round_id, folder=folder, items=items, decisions=decided)


def _examples(rounds: Sequence[ReviewRound]) -> list[Example]:
    asked = {item.row: item.instruction for each in rounds for item in each.items}
    return reviewing.examples(decisions_of(rounds).values(), asked)


def _check_accepted(file: Path, found: ReviewRound, given: Mapping[str, Decision]) -> None:
    """An accepted rubric counts as one without an edit, so it must be one."""
    shown = {item.row: [each.criterion for each in item.criteria] for item in found.items}
    for row, decision in given.items():
        if decision.verdict == "accepted" and [each.criterion for each in decision.criteria] != shown[row]:
            raise CurationError(
                f"{file}: row {row} is accepted, but its criteria are not those of round {found.id}; then its verdict "
                "is fixed"
            )


def _write_estimate(found: ReviewRound, level: float) -> None:
    """What the decisions of a round say, for reports."""
    rate = found.rate(level)
    said: dict[str, Any] = {"round": found.id, "level": level, "estimate": None if rate is None else asdict(rate)}
    write_atomically(found.folder / _ESTIMATE, json.dumps(said, indent=1) + "\n")
