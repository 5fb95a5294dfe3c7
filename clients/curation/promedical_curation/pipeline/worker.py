"""The worker of a row stage: a plain function of a batch of rows, whatever engine hands them out."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promedical_curation.asking.asker import Asker, Reply, asking
from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.asking.failures import Unanswered
from promedical_curation.asking.fetching import Terms
from promedical_curation.asking.requests import Request
from promedical_curation.asking.store import DeadLetter, Payer, Store, open_store
from promedical_curation.pipeline.stages import RowStage
from promedical_curation.rows import Failed, Outcome, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """By what means questions are asked: plain values, which another process can be given.

    Attributes:
        endpoints: All endpoints, by name.
        store: The address of the response store.
        terms: On what terms.
    """

    endpoints: Mapping[str, Endpoint]
    store: str
    terms: Terms


def decide_batch(stage: RowStage, rows: Sequence[Row], means: Means) -> list[Outcome]:
    """What becomes of each row, in their order. For engines whose workers are processes.

    Raises:
        CurationError: The run has to stop.
    """

    async def work() -> list[Outcome]:
        async with asking(means.endpoints, store, means.terms) as asker:
            return await decide_rows(stage, rows, asker)

    store = open_store(means.store)
    try:
        return asyncio.run(work())
    finally:
        store.close()


async def decide_rows(stage: RowStage, rows: Sequence[Row], asker: Asker) -> list[Outcome]:
    """What becomes of each row, in their order. Rows that failed are noted in the store before this returns.

    Raises:
        CurationError: The run has to stop.
    """
    payer = Payer(run=asker.fetcher.terms.run, stage=stage.name)
    asked = [_asked(stage, row) for row in rows]
    requests = [request for each in asked if not isinstance(each, Failed) for request in each]
    replies = iter(await asker.ask_all(requests, payer) if requests else [])
    outcomes, letters = list[Outcome](), list[DeadLetter]()
    for row, each in zip(rows, asked, strict=True):
        own = [] if isinstance(each, Failed) else [next(replies) for _ in each]
        outcome = each if isinstance(each, Failed) else _decided(stage, row, own)
        outcomes.append(outcome)
        if isinstance(outcome, Failed):
            letters.append(_letter(outcome, own))
    if letters:
        await asker.fetcher.in_store(Store.bury, letters, payer)
    return outcomes


def requests_about(stage: RowStage, row: Row) -> Sequence[Request]:
    """What a stage asks about a row; nothing about a row that it cannot handle, which fails when the stage runs."""
    asked = _asked(stage, row)
    return () if isinstance(asked, Failed) else asked


def _asked(stage: RowStage, row: Row) -> Sequence[Request] | Failed:
    try:
        return stage.ask(row)
    except Exception as error:  # noqa: BLE001 - one row that a stage cannot handle must not end the others
        return _broken(stage, row, error)


def _decided(stage: RowStage, row: Row, replies: Sequence[Reply]) -> Outcome:
    unanswered = next((reply for reply in replies if isinstance(reply, Unanswered)), None)
    if unanswered is not None and not stage.takes_unanswered:
        return Failed(row=row, error=unanswered.error, message=unanswered.message)
    try:
        outcome = stage.decide(row, replies)
    except Exception as error:  # noqa: BLE001 - the same
        return _broken(stage, row, error)
    decided = outcome if isinstance(outcome, Row) else outcome.row
    return outcome if decided.id == row.id else _broken(stage, row, ValueError("another id"))


def _broken(stage: RowStage, row: Row, error: Exception) -> Failed:
    """The message names the kind of error only: its text may quote the row."""
    message = f"stage {stage.name} cannot handle this row: {type(error).__name__}"
    return Failed(row=row, error="stage_error", message=message)


def _letter(failed: Failed, replies: Sequence[Reply]) -> DeadLetter:
    culprit = next((each for each in replies if isinstance(each, Unanswered) and each.error == failed.error), None)
    return DeadLetter(
        row_id=failed.row.id,
        error=failed.error,
        message=failed.message,
        key=culprit.key if culprit else None,
        final=culprit.final if culprit else False,
    )
