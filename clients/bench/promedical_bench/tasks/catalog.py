"""The one place that knows every task."""

from collections.abc import Collection
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from promedical_bench.cases import check_unique
from promedical_bench.tasks import healthbench, healthbench_meta, kqa, promedical, rewardbench, ultramedical
from promedical_bench.tasks.task import Task
from promedical_data.errors import DataError

TaskName: TypeAlias = Literal["promedical", "healthbench", "healthbench-meta", "rewardbench", "ultramedical", "kqa"]

NAMES: Final[tuple[TaskName, ...]] = get_args(TaskName)
WITH_RESPONSES: Final[tuple[TaskName, ...]] = ("healthbench", "kqa")
"""Tasks that judge a policy's answers from a file of their own."""
WITH_CRITERIA: Final[tuple[TaskName, ...]] = ("promedical", "healthbench")
"""Tasks whose criteria have ids by which they can be left out."""


def load_task(
    name: str,
    path: Path,
    *,
    responses: Path | None = None,
    pair_cap: int | None = None,
    left_out: Collection[str] = (),
) -> Task:
    """Read a task from its data.

    Args:
        name: The name of the task, one of `NAMES`.
        path: The publisher's file.
        responses: The file of a policy's answers, for the tasks of `WITH_RESPONSES`.
        pair_cap: The most pairs per prompt and criterion, for promedical.
        left_out: Criteria that do not count, for the tasks of `WITH_CRITERIA`.

    Raises:
        DataError: There is no such task, or a file cannot be used.
    """
    if responses is not None and name in NAMES and name not in WITH_RESPONSES:
        raise DataError(
            f"--responses: task {name} takes no responses; only {' and '.join(WITH_RESPONSES)} judge a policy"
        )
    if pair_cap is not None and name in NAMES and name != "promedical":
        raise DataError(f"--pair-cap: task {name} takes no cap; only promedical compares pairs by criterion")
    if left_out and name in NAMES and name not in WITH_CRITERIA:
        raise DataError(f"--without-criterion: task {name} takes none; only {' and '.join(WITH_CRITERIA)} do")
    task = _load(name, path, responses, pair_cap, left_out)
    check_unique(task.cases)
    return task


def _load(name: str, path: Path, responses: Path | None, pair_cap: int | None, left_out: Collection[str]) -> Task:
    match name:
        case "promedical":
            return promedical.load(path, pair_cap=pair_cap, left_out=left_out)
        case "healthbench":
            return healthbench.load(path, responses=responses, left_out=left_out)
        case "healthbench-meta":
            return healthbench_meta.load(path)
        case "rewardbench":
            return rewardbench.load(path)
        case "ultramedical":
            return ultramedical.load(path)
        case "kqa":
            return kqa.load(path, responses=responses)
        case _:
            raise DataError(f"task {name!r} is unknown; the tasks are {', '.join(NAMES)}")
