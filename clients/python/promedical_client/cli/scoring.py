"""One job of `promedical score`: it learns which oracle answers, resumes what was kept, asks the rest, and writes.

Answers are kept as they come, whatever ends the job.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pydantic_core
import typer

from promedical import messages as m
from promedical.pins import named, written
from promedical_client.address import Address
from promedical_client.chunking import estimated_tokens
from promedical_client.cli.kept import Header, Kept, digest_of, keeping, oracle_in, place_of
from promedical_client.cli.output import results_file
from promedical_client.cli.progress import JobProgress
from promedical_client.cli.result_files import check_name, oracle_of, outcomes_file
from promedical_client.cli.session import ended, opened, stderr_console
from promedical_client.errors import NotFoundError, PromedicalError, TooLargeError
from promedical_client.sync import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to ask.

    Attributes:
        items: The items.
        options: What else to send, as `Client.score` takes it.
        timeout_s: The seconds of one call.
        out: The file for the results; None for none.
        fresh: Whether to drop what was kept.
    """

    items: Sequence[m.ScoreItem]
    options: dict[str, Any]
    timeout_s: float
    out: Path | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What came of it.

    Attributes:
        outcomes: One per item, in order.
        info: What the oracle says about itself.
        kept: The file of kept answers, to be removed when they have been shown.
        tokens: How many tokens were computed for this process.
        rubrics: The named rubrics that were used for it.
    """

    outcomes: tuple[m.ItemOutcome, ...]
    info: m.ModelInfo
    kept: Kept
    tokens: int = 0
    rubrics: tuple[m.UsedRubric, ...] = field(default=())


def run_job(job: Job, address: Address) -> Scored:
    """Score the items that have no answer yet, and write all answers.

    Raises:
        DataError: A file cannot be used.
        PromedicalError: The service refused before anything was answered.
        typer.Exit: It failed, or was stopped, later; answers are kept.
    """
    if job.out is not None:
        check_name(job.out)
    oracle: dict[str, str] = {}  # known when the service has answered, and written with the results
    with (
        results_file(job.out, partial(outcomes_file, oracle=oracle)) as results,
        opened(address, job.timeout_s) as client,
    ):
        digest, place = _place(job)
        pin = job.options.get("expected_fingerprint") or (None if job.fresh else oracle_in(place))
        info = client.model(oracle=pin)
        oracle |= oracle_of(info)
        header = _header(job, client, info, digest)
        with keeping(place, header, fresh=job.fresh) as kept:
            with _resumable(job, kept):
                answer = _ask(job, client, kept, info)
            results.extend(kept.outcomes[item.id] for item in job.items)
    return Scored(
        outcomes=tuple(results),
        info=info,
        kept=kept,
        tokens=answer.usage.tokens_computed if answer else 0,
        rubrics=answer.rubrics if answer else (),
    )


def summary_of(scored: Scored, counts: tuple[int, int]) -> str:
    """The job in one or two lines."""
    model = scored.info.model
    status = "" if scored.info.status == "trained" else f" ({scored.info.status.upper()})"
    line = (
        f"{len(scored.outcomes)} items: {counts[0]} responses scored, {counts[1]} items or responses failed, "
        f"{scored.tokens:,} tokens computed, oracle {model.fingerprint}{status}"
    )
    return f"{line}\nnamed rubrics: {written(scored.rubrics)}" if scored.rubrics else line


def _place(job: Job) -> tuple[str, Path]:
    """The hash of what is asked, and where its answers are kept."""
    digest = digest_of(job.items)
    return digest, place_of(job.out, digest, _kept_options(job))


def _kept_options(job: Job) -> dict[str, Any]:
    """The options that a score depends on, as a file gives them back."""
    others = {"priority", "expected_rubrics", "expected_fingerprint"}
    options = {name: value for name, value in job.options.items() if name not in others}
    kept: dict[str, Any] = pydantic_core.from_json(pydantic_core.to_json(options))
    return kept


def _header(job: Job, client: Client, info: m.ModelInfo, digest: str) -> Header:
    return Header(
        input=digest,
        items=len(job.items),
        options=_kept_options(job),
        rubrics=dict(_rubrics(client, {name for name in named(job.items) if name is not None}, _pin(info))),
        oracle=oracle_of(info),
    )


def _rubrics(client: Client, names: set[str], oracle: str) -> Iterator[tuple[str, str]]:
    """The hash of what each name means to the oracle; an unknown name is the error of its items."""
    for name in sorted(names):
        try:
            yield name, client.rubric(name, oracle=oracle).sha256
        except NotFoundError:
            continue


def _ask(job: Job, client: Client, kept: Kept, info: m.ModelInfo) -> m.ScoreResponse | None:
    left = [item for item in job.items if not kept.has(item.id)]
    if len(left) < len(job.items):
        typer.echo(f"promedical: resumes: {len(job.items) - len(left)} of {len(job.items)} items are kept", err=True)
    if not left:
        return None
    costs = {item.id: estimated_tokens(item) for item in left}
    with JobProgress(stderr_console(), "scoring", total=len(job.items), costs=costs) as progress:

        def arrived(outcomes: tuple[m.ItemOutcome, ...]) -> None:
            kept.add(outcomes)
            progress.advance(outcome.id for outcome in outcomes)

        try:
            return client.score(
                left,
                timeout_s=math.inf,
                chunk_timeout_s=job.timeout_s,
                on_outcomes=arrived,
                **{**job.options, "expected_fingerprint": job.options.get("expected_fingerprint") or _pin(info)},
            )
        except TooLargeError:
            if all(kept.has(item.id) for item in left):  # each of them has its error
                return None
            raise


def _pin(info: m.ModelInfo) -> str:
    """Answers of one file come from one oracle, whatever happens to the service meanwhile."""
    return info.model.fingerprint


@contextmanager
def _resumable(job: Job, kept: Kept) -> Iterator[None]:
    """If the job ends early, say how much is kept and how to get the rest."""
    try:
        yield
    except (PromedicalError, KeyboardInterrupt) as error:
        done = sum(kept.has(item.id) for item in job.items)
        if not done:
            raise
        where = f"{done} of {len(job.items)} items were answered; they are in {kept.path}"
        ended(error, f"{where}, and the same command resumes")
