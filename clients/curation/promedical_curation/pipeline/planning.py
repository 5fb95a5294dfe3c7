"""What a run will cost, from a sample: its rows go through all stages that ask, and what they use is scaled up.

The sample's answers are real and are kept, so that the run does not ask for them again.
"""

import asyncio
import heapq
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from promedical_curation.asking.answers import Answer
from promedical_curation.asking.asker import asking
from promedical_curation.asking.requests import digest
from promedical_curation.asking.store import Store, open_store
from promedical_curation.pipeline.engines import batches
from promedical_curation.pipeline.readiness import check_readiness
from promedical_curation.pipeline.row_files import RowFile
from promedical_curation.pipeline.run_folder import RunFolder
from promedical_curation.pipeline.stages import Rows, RowStage, Stage, asks
from promedical_curation.pipeline.worker import Means, decide_rows, requests_about
from promedical_curation.rows import Row

SAMPLE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one stage will use in all.

    Attributes:
        stage: The stage's name.
        rows: How many rows come to it.
        calls: How many answers it needs.
        stored: How many of them are in the store already.
        input_tokens: Tokens of all prompts.
        output_tokens: Tokens of all answers.
        cost: US dollars for all answers; None if no price is known.
        seconds: How long the answers that are missing will take, at the pace of the sample.
    """

    stage: str
    rows: int
    calls: int
    stored: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sampled:
    """What a stage used for the sample's rows."""

    kept: list[Row]
    answers: dict[str, Answer]
    requests: int


def plan_line(run: RunFolder, means: Means, *, sample: int = SAMPLE) -> list[Estimate]:
    """Estimates for the stages of a run that are out of date; those before the first that asks are up to date.

    What comes after the last that asks costs nothing, and may need what the sample does not have.

    Raises:
        CurationError: The sample cannot be asked.
    """
    due = [index for index, state in enumerate(run.states()) if state.why]
    if not due:
        return []
    last = max((index for index, stage in enumerate(run.stages) if asks(stage)), default=-1)
    left = run.stages[due[0] : last + 1]
    if not left:
        return []
    rows = run.input_of(left[0].name)
    with closing(open_store(means.store)) as store:
        check_readiness(
            [(stage, rows if stage is left[0] else None) for stage in left if isinstance(stage, RowStage)],
            store,
            run.id,
        )
    return plan(left, rows, means, sample=sample)


def plan(stages: Sequence[Stage], rows: RowFile, means: Means, *, sample: int = SAMPLE) -> list[Estimate]:
    """Estimates for the stages that ask, given the rows that come to the first of them.

    Stages between them that see all rows at once are taken to keep every row: what they drop in a sample says little
    about what they drop in the whole.

    Raises:
        CurationError: The sample cannot be asked.
    """
    expected = float(len(rows))
    chosen = heapq.nsmallest(sample, rows, key=lambda row: digest(row.id))
    estimates = list[Estimate]()
    with closing(open_store(means.store)) as store:
        for stage in stages:
            if isinstance(stage, RowStage) and chosen:
                sampled = asyncio.run(_sample(stage, chosen, store, means))
                if asks(stage):
                    counted = None if estimates else _count(stage, rows, store)
                    estimates.append(_estimate(stage, expected, len(chosen), sampled, counted))
                expected *= len(sampled.kept) / len(chosen)
                chosen = sampled.kept
    return estimates


async def _sample(stage: RowStage, rows: Sequence[Row], store: Store, means: Means) -> _Sampled:
    answers = dict[str, Answer]()
    async with asking(means.endpoints, store, means.terms, on_answer=answers.__setitem__) as asker:
        outcomes = await decide_rows(stage, rows, asker)
    requests = len({request.key for row in rows for request in requests_about(stage, row)})
    return _Sampled(kept=[each for each in outcomes if isinstance(each, Row)], answers=answers, requests=requests)


def _count(stage: RowStage, rows: Rows, store: Store) -> tuple[int, int]:
    """How many different requests a stage makes of all rows, and how many of them have an answer."""
    seen, stored = set[bytes](), 0
    for some in batches(rows):
        keys = {request.key for row in some for request in requests_about(stage, row)}
        new = [key for key in keys if bytes.fromhex(key) not in seen]
        seen.update(map(bytes.fromhex, new))
        stored += len(store.known(new))
    return len(seen), stored


def _estimate(
    stage: RowStage, rows: float, sample: int, sampled: _Sampled, counted: tuple[int, int] | None
) -> Estimate:
    answers = list(sampled.answers.values())
    scale = counted[0] / max(sampled.requests, 1) if counted else rows / sample
    calls = len(answers) * scale
    stored = min(calls, counted[1] * len(answers) / max(sampled.requests, 1)) if counted else float(len(answers))
    costs = [each.cost for each in answers if each.cost is not None]
    return Estimate(
        stage=stage.name,
        rows=round(rows),
        calls=round(calls),
        stored=round(stored),
        input_tokens=round(sum(each.input_tokens for each in answers) * scale),
        output_tokens=round(sum(each.output_tokens for each in answers) * scale),
        cost=sum(costs) * scale if len(costs) == len(answers) else None,
        seconds=max(calls - stored, 0.0) * _seconds_a_call(answers),
    )


def _seconds_a_call(answers: Sequence[Answer]) -> float:
    """How long the sample took for one answer, with several in flight; answers of earlier days are no shorter."""
    if not answers:
        return 0.0
    whole = max(each.at for each in answers) - min(each.at - each.seconds for each in answers)
    return min(whole, sum(each.seconds for each in answers)) / len(answers)
