"""Asks a running service about every case that the results do not hold yet, with several calls in flight.

Invariants:
- An answer is kept as soon as it arrives; whatever ends the run, the answers so far are in the file.
- Every call pins the fingerprint and the named rubric of the header, so no file mixes oracles or rubrics.
- An error of one case or response (too long, empty, engine failure) is kept as an error, never as a score.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from promedical.errors import ErrorCode
from promedical.messages import ScoreResponse, WeightsSpec
from promedical_bench.cases import VARIANTS, Case, item_of
from promedical_bench.scoring.record_file import ResultsWriter
from promedical_bench.scoring.records import Record, failed, record_of
from promedical_client import AsyncClient, TooLargeError
from promedical_data.variants import Variant

Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many answers there are, and how many there will be."""

SOFT: Final = WeightsSpec(proficiency_mode="soft")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A case, asked in one way."""

    case: Case
    variant: Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast to ask.

    Attributes:
        in_flight: The most calls in flight at the same time.
        timeout_s: Seconds for one call, including retries.
    """

    in_flight: int = 8
    timeout_s: float = 600.0


def questions_of(cases: Sequence[Case], variants: Sequence[Variant]) -> list[Question]:
    """Every case in every way; first come all cases as they are."""
    return [Question(case=case, variant=variant) for variant in variants for case in cases]


async def ask(
    client: AsyncClient, questions: Sequence[Question], writer: ResultsWriter, *, pace: Pace, on_progress: Progress
) -> None:
    """Get an answer to every question, from the file or from the service.

    Raises:
        PromedicalError: The service cannot be asked, or is now another oracle. Its answers so far are in the file.
    """
    left = [each for each in questions if not writer.has(each.variant, each.case.id)]
    done = len(questions) - len(left)
    queue = iter(left)

    async def work() -> None:
        nonlocal done
        for question in queue:
            writer.add(await _answer(client, question, writer, pace.timeout_s))
            done += 1
            on_progress(done, len(questions))

    on_progress(done, len(questions))
    workers = [asyncio.create_task(work()) for _ in range(min(pace.in_flight, len(left)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _answer(client: AsyncClient, question: Question, writer: ResultsWriter, timeout_s: float) -> Record:
    header = writer.results.header
    asked = VARIANTS[question.variant](question.case)
    kept = {"case": asked.id, "variant": question.variant, "fingerprint": header.fingerprint}
    try:
        answer = await client.score(
            [item_of(asked, header.rubric)],
            reward_weights=SOFT,
            expected_fingerprint=header.fingerprint,
            expected_rubrics=header.pins,
            priority="bulk",
            timeout_s=timeout_s,
        )
    except TooLargeError:
        return failed(len(asked.responses), ErrorCode.TOO_LARGE, retryable=False, **kept)
    return _record(answer, len(asked.responses), kept)


def _record(answer: ScoreResponse, responses: int, kept: dict[str, str]) -> Record:
    outcome = answer.items[0]
    if outcome.result is None:
        assert outcome.error is not None
        return failed(responses, outcome.error.code, retryable=outcome.error.retryable, **kept)
    return record_of(outcome.result.responses, **kept)
