"""One run of `promedical-bench quality` or `compare`: it asks, measures and writes. The bench's composition root."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from promedical_bench.answers import Answers, spread
from promedical_bench.asked import Bar, Inquiry, ask_oracle
from promedical_bench.cases import VARIANTS
from promedical_bench.evaluation.evaluate import compare, measure
from promedical_bench.reports.comparison_report import comparison_content, gaps_of
from promedical_bench.reports.content import Content
from promedical_bench.reports.quality_report import UNTRAINED, quality_content
from promedical_bench.reports.writing import write_comparison, write_quality
from promedical_bench.run_checks import answers_of, check_comparable, heard, task_of, within
from promedical_bench.scoring.record_file import NAME, read_results
from promedical_bench.scoring.records import Header, Results
from promedical_bench.scoring.runner import Pace
from promedical_bench.silence import without_silence
from promedical_bench.tasks.promedical import ProMedical
from promedical_bench.tasks.task import Task, silent_in
from promedical_client.address import Address
from promedical_client.jsonl import InputError
from promedical_data.variants import AS_IS, CRITERION_ONLY, INJECTED, WITHOUT_CRITERIA, Variant

_UNTRAINED_NAME: Final = "untrained.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityRun:
    """What to measure, on which service, and where to write.

    Attributes:
        task: The task with its data.
        address: The address of the service.
        output: The folder of the results and the report.
        rubric_id: The named rubric for cases without criteria.
        untrained: The same model before training: the URL of a service, or results.
        asked_controls: Whether to ask the questions of the controls too.
        pace: How fast to ask.
        seed: The seed of the bootstrap.
    """

    task: Task
    address: Address
    output: Path
    rubric_id: str
    untrained: str | None = None
    asked_controls: bool = True
    pace: Pace
    seed: int = 0


def run_quality(run: QualityRun, bar: Bar) -> tuple[Content, dict[str, int]]:
    """Ask what is not answered yet, measure and write.

    Returns:
        The report, and how many responses have no scores, by error code.

    Raises:
        PromedicalError: The service cannot be asked; its answers so far are kept.
        ResultsError: The folder holds the results of another run.
        NothingScoredError: No response has scores.
    """
    source = _untrained_source(run)
    variants = _variants(run)
    results = asyncio.run(_asked(run, run.address, run.output / NAME, variants, bar))
    untrained = _untrained(run, source, results.header, bar)
    answers = answers_of(results, run.task)
    asked = {name: within(results.answers(name), run.task) for name in variants if name != AS_IS}
    if WITHOUT_CRITERIA in asked:
        asked[WITHOUT_CRITERIA] = heard(spread(asked[WITHOUT_CRITERIA], run.task.cases), run.task)
    asked |= {UNTRAINED: untrained} if untrained is not None else {}
    injected = without_silence(asked[INJECTED], run.task.cases) if INJECTED in asked else None
    with bar("measuring"):
        measured = measure(run.task, answers, asked, injected=injected, seed=run.seed)
    unscored = results.unscored(AS_IS, silent_in(run.task))
    parts = run.task.parts(answers) if isinstance(run.task, ProMedical) else ()
    content = quality_content(run.task, results.header, measured, unscored, parts)
    write_quality(run.output, run.task, results.header, measured, content, unscored, answers)
    return content, unscored


def run_comparison(
    paths: Mapping[str, Path],
    output: Path,
    *,
    data: Path | None,
    responses: Path | None,
    pair_cap: int | None,
    left_out: Collection[str] = (),
    seed: int,
) -> tuple[Content, tuple[str, ...]]:
    """Compare runs with the first one, on the data that they were asked about.

    Returns:
        The report, and what runs lack, in words.

    Raises:
        ResultsError: Results cannot be read, or do not belong to one task and one file of data.
        DataError: The data are missing, or are not the data that the runs were asked about.
    """
    runs = {name: read_results(path) for name, path in paths.items()}
    first = next(iter(runs.values())).header
    for name, results in runs.items():
        check_comparable(first, results.header, name)
    task = task_of(first, data, responses, pair_cap, left_out)
    evaluation = compare(task, {name: answers_of(results, task) for name, results in runs.items()}, seed=seed)
    cases = silent_in(task)
    unscored = {name: results.unscored(AS_IS, cases) for name, results in runs.items()}
    asked = {name: results.asked(AS_IS, cases) for name, results in runs.items()}
    headers = {name: results.header for name, results in runs.items()}
    gaps = gaps_of(unscored, asked)
    content = comparison_content(task, headers, evaluation, unscored, gaps)
    write_comparison(output, task, headers, evaluation, content, unscored, asked)
    return content, gaps


def _variants(run: QualityRun) -> tuple[Variant, ...]:
    if not run.asked_controls:
        return (AS_IS,)
    # Without responses there is nothing to choose between.
    return tuple(name for name in VARIANTS if name != CRITERION_ONLY or run.task.of_one_response)


async def _asked(run: QualityRun, address: Address, path: Path, variants: Sequence[Variant], bar: Bar) -> Results:
    facts = run.task.facts
    inquiry = Inquiry(
        task=run.task.name,
        cases=run.task.cases,
        path=facts.path,
        responses_path=facts.responses_path,
        digest=facts.digest,
        rubric_id=run.rubric_id,
        variants=variants,
    )
    return await ask_oracle(inquiry, address, path, pace=run.pace, bar=bar)


def _untrained_source(run: QualityRun) -> Results | Address | None:
    """Read the untrained model's results before anything is asked, so that a wrong path or URL costs nothing."""
    if run.untrained is None:
        return None
    if "://" not in run.untrained:
        return read_results(Path(run.untrained))
    try:
        return replace(run.address, url=run.untrained)
    except ValueError as error:
        raise InputError(str(error)) from None


def _untrained(run: QualityRun, source: Results | Address | None, header: Header, bar: Bar) -> Answers | None:
    if source is None:
        return None
    if isinstance(source, Results):
        results = source
    else:
        results = asyncio.run(_asked(run, source, run.output / _UNTRAINED_NAME, (AS_IS,), bar))
    check_comparable(header, results.header, UNTRAINED)
    return answers_of(results, run.task)
