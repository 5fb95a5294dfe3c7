"""One run of `promedical-bench compare-policies`: answers of several policies to the same questions, side by side."""

from collections.abc import Collection, Mapping
from pathlib import Path

from promedical_bench.evaluation.evaluate import compare_policies
from promedical_bench.reports.comparison_report import comparison_content, gaps_of
from promedical_bench.reports.content import Content
from promedical_bench.reports.writing import write_comparison
from promedical_bench.run_checks import answers_of, task_of
from promedical_bench.scoring.record_file import ResultsError, read_results, rubric_content
from promedical_bench.scoring.records import Header
from promedical_bench.tasks.task import Task, silent_in
from promedical_data.variants import AS_IS


def run_policies(
    paths: Mapping[str, Path], output: Path, *, data: Path | None, left_out: Collection[str] = (), seed: int
) -> tuple[Content, tuple[str, ...]]:
    """Compare policies with the first one, by what one oracle said about their answers.

    Returns:
        The report, and what runs lack, in words.

    Raises:
        ResultsError: Results cannot be read, or are of several tasks, oracles, rubrics or questions.
        DataError: The data or the answers are missing, or are not those that the runs were asked about.
        NothingScoredError: No question has scored answers of all policies.
    """
    runs = {name: read_results(path) for name, path in paths.items()}
    headers = {name: results.header for name, results in runs.items()}
    first = next(iter(headers))
    for name, header in headers.items():
        _check_same_judge(headers[first], header, name)
    tasks = {name: task_of(header, data, None, None, left_out) for name, header in headers.items()}
    for name, task in tasks.items():
        _check_same_questions(tasks[first], task, name)
    answers = {name: answers_of(results, tasks[name]) for name, results in runs.items()}
    evaluation = compare_policies(tasks, answers, seed=seed)
    unscored = {name: results.unscored(AS_IS, silent_in(tasks[name])) for name, results in runs.items()}
    asked = {name: _asked(tasks[name]) for name in runs}
    gaps = (*gaps_of(unscored, asked), *(gap for name, task in tasks.items() for gap in _unread(name, task)))
    content = comparison_content(tasks[first], headers, evaluation, unscored, gaps)
    write_comparison(output, tasks[first], headers, evaluation, content, unscored, asked)
    return content, gaps


def _asked(task: Task) -> frozenset[str]:
    return frozenset(case.cluster for case in task.cases)


def _unread(name: str, task: Task) -> list[str]:
    unread = task.facts.unread_answers
    return [f"{name}: answers that could not be read: {unread:,}."] if unread else []


def _check_same_judge(first: Header, other: Header, name: str) -> None:
    """Scores of two oracles, or by two rubrics, say nothing about two policies."""
    named = [(what, getattr(first, what), getattr(other, what)) for what in ("task", "fingerprint", "rubric")]
    for what, mine, theirs in [*named, *rubric_content(first, other)]:
        if mine != theirs:
            raise ResultsError(
                f"run {name!r}: has the {what} {theirs}, the first {mine}; policies are compared by one task, one "
                "oracle and one rubric"
            )


def _check_same_questions(first: Task, other: Task, name: str) -> None:
    mine = {case.cluster: (case.turns, case.criteria) for case in first.cases}
    theirs = {case.cluster: (case.turns, case.criteria) for case in other.cases}
    differing = [key for key in mine.keys() & theirs.keys() if mine[key] != theirs[key]]
    if differing or not mine.keys() & theirs.keys():
        why = f"{len(differing):,} of its questions or their criteria differ" if differing else "it shares no question"
        raise ResultsError(
            f"run {name!r}: {why}; policies are compared on the same questions, so give both the same --data"
        )
