"""Runs as they are kept: whether they belong together, what they were asked about, and what their oracles said."""

from collections.abc import Collection
from pathlib import Path

from promedical_bench.answers import Answers
from promedical_bench.scoring.record_file import ResultsError, rubric_content
from promedical_bench.scoring.records import Header, Results
from promedical_bench.silence import with_silence
from promedical_bench.tasks.catalog import load_task
from promedical_bench.tasks.task import Task
from promedical_data.errors import DataError
from promedical_data.variants import AS_IS


def check_comparable(first: Header, other: Header, name: str) -> None:
    """Refuse a run that was asked something else than the first.

    Raises:
        ResultsError: The task, the data or the rubric differ.
    """
    named = [(what, getattr(first, what), getattr(other, what)) for what in ("task", "data", "rubric")]
    for what, mine, theirs in [*named, *rubric_content(first, other)]:
        if mine != theirs:
            raise ResultsError(
                f"run {name!r}: was asked about {what} {theirs}, the first about {mine}; only runs of one task, one "
                "file of data and one rubric can be compared"
            )


def task_of(
    header: Header, data: Path | None, responses: Path | None, pair_cap: int | None, left_out: Collection[str]
) -> Task:
    """The task that a run was asked about.

    Raises:
        DataError: The data are missing, or are not those of the run.
    """
    path = data or Path(header.path)
    answers = responses or (Path(header.responses_path) if header.responses_path else None)
    task = load_task(header.task, path, responses=answers, pair_cap=pair_cap, left_out=left_out)
    if task.facts.digest != header.data:
        raise DataError(
            f"{path}: does not hold the data that the runs were asked about; name the right file with --data, and "
            "the criteria that the runs left out with --without-criterion"
        )
    return task


def answers_of(results: Results, task: Task) -> Answers:
    """What the oracle said about the task's cases, as they are."""
    return heard(within(results.answers(AS_IS), task), task)


def heard(answers: Answers, task: Task) -> Answers:
    """The answers, with what a policy's empty responses say."""
    return with_silence(answers, task.cases) if task.of_policy else answers


def within(answers: Answers, task: Task) -> Answers:
    """The answers to the task's cases."""
    return {case.id: answers[case.id] for case in task.cases if case.id in answers}
