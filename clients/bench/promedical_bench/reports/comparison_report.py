"""The report of several runs side by side; differences are from the first run, paired by prompt."""

from collections.abc import Collection, Mapping, Sequence

from promedical_bench.reports.content import (
    HOW_TO_READ,
    Content,
    answer_warnings,
    by_judge,
    gains,
    headlines,
    size_warnings,
    skipped_notes,
)
from promedical_bench.scoring.records import Header, count_unscored
from promedical_bench.tasks.task import Task
from promedical_data.measures.evaluation import Evaluation


def gaps_of(unscored: Mapping[str, Mapping[str, int]], asked: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """What each run lacks, in words; empty where all were asked the same and every response has scores.

    Args:
        unscored: Responses without scores, by run and error code.
        asked: Ids of the cases that were asked, by run.
    """
    every = {case for cases in asked.values() for case in cases}
    short = {run: cases for run, cases in asked.items() if len(cases) < len(every)}
    return (
        *(f"{run} was asked {len(cases):,} of {len(every):,} cases." for run, cases in short.items()),
        *(
            f"{run}: responses without scores: {sum(codes.values()):,} ({count_unscored(codes)})."
            for run, codes in unscored.items()
            if codes
        ),
    )


def comparison_content(
    task: Task,
    headers: Mapping[str, Header],
    evaluation: Evaluation,
    unscored: Mapping[str, Mapping[str, int]],
    gaps: Sequence[str],
) -> Content:
    """The content of the report, without its plots.

    Args:
        task: What was measured.
        headers: The headers of the results, by run.
        evaluation: The evaluation of every run, the first run first.
        unscored: Responses without scores, by run and error code.
        gaps: The gaps, as `gaps_of` words them.
    """
    first = next(iter(headers))
    note = f"Intervals resample prompts for both runs at once; an interval without 0 shows a difference from {first}."
    titles = {name: title for name, title in task.titles.items() if name in evaluation.model}
    differences = [gains(evaluation, name, f"{first} minus run: {title}", note) for name, title in titles.items()]
    main = [by_judge(evaluation, name, titles[name]) for name in task.main if name in titles]
    against = gains(evaluation, task.headline, f"{first} minus run", note)
    return Content(
        title=task.title,
        subtitle=" / ".join(headers),
        warnings=(*_warnings(headers, gaps), *size_warnings(task, evaluation), *answer_warnings(task)),
        headlines=headlines(evaluation, task.headline),
        facts=_facts(task, headers, evaluation, unscored),
        main=tuple(table for table in (main[0], against, *main[1:]) if table),
        details=(
            *(by_judge(evaluation, name, title) for name, title in titles.items() if name not in task.main),
            *(table for table in differences if table),
        ),
        notes=(HOW_TO_READ, *task.facts.notes, *skipped_notes(task.facts.skipped)),
    )


def _warnings(headers: Mapping[str, Header], gaps: Sequence[str]) -> tuple[str, ...]:
    together = ["Only responses that every run scored are compared."] if gaps else []
    told = {run: header.model.status for run, header in headers.items()}
    status = [f"Run {run}: its oracle is {word}." for run, word in told.items() if word != "trained"]
    return (*status, *gaps, *together)


def _facts(
    task: Task,
    headers: Mapping[str, Header],
    evaluation: Evaluation,
    unscored: Mapping[str, Mapping[str, int]],
) -> tuple[tuple[str, str], ...]:
    runs = [
        (run, f"{h.model.model.name}, {h.model.status}, {h.model.model.engine} {h.model.model.dtype}, {h.fingerprint}")
        for run, h in headers.items()
    ]
    missing = [(f"not scored by {run}", count_unscored(codes)) for run, codes in unscored.items()]
    return (
        ("task", task.name),
        *runs,
        ("data", str(task.facts.path)),
        ("hash of the data", task.facts.digest),
        *((name, f"{count:,}") for name, count in evaluation.counts.items()),
        *missing,
        ("bootstrap", f"{evaluation.replicates:,} replicates, seed {evaluation.seed}, paired"),
    )
