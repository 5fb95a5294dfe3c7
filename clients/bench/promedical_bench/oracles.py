"""One run of `promedical-bench compare-oracles`: may the training of a policy move over from one oracle to another?"""

from collections.abc import Collection
from pathlib import Path

from promedical_bench.answers import count_scored, restricted
from promedical_bench.evaluation.evaluate import NothingScoredError
from promedical_bench.evaluation.moving_over import Limits, MayMove, answer_of, checks
from promedical_bench.evaluation.oracle_change import oracle_change
from promedical_bench.reports.content import Content
from promedical_bench.reports.oracle_report import oracle_content
from promedical_bench.reports.writing import write_oracles
from promedical_bench.run_checks import answers_of, check_comparable, task_of
from promedical_bench.scoring.record_file import read_results
from promedical_data.measures.bootstrap import Bootstrap
from promedical_data.measures.evaluation import estimates


def compare_oracles(
    old: Path,
    new: Path,
    output: Path,
    *,
    limits: Limits,
    data: Path | None,
    responses: Path | None,
    left_out: Collection[str] = (),
    seed: int,
) -> tuple[Content, MayMove]:
    """Compare what two oracles said about the same responses, and write the report.

    Returns:
        The report, and whether a training may move over.

    Raises:
        ResultsError: Results cannot be read, or do not belong to one task, one file of data and one rubric.
        DataError: The data are missing, or are not the data that the oracles were asked about.
        NothingScoredError: No response was scored by both.
    """
    first, second = read_results(old), read_results(new)
    check_comparable(first.header, second.header, str(new))
    task = task_of(first.header, data, responses, None, left_out)
    before, after = answers_of(first, task), answers_of(second, task)
    scored = (count_scored(before), count_scored(after), count_scored(restricted(before, after)))
    if not scored[-1]:
        raise NothingScoredError("no response was scored by both oracles, so there is nothing to compare")
    tallies = oracle_change(before, after, {case.id: case.cluster for case in task.cases})
    change = estimates(Bootstrap(seed=seed), tallies)
    found = checks(change, limits)
    content = oracle_content(task, (first.header, second.header), change, found, scored)
    write_oracles(output, (first.header, second.header), change, found, content)
    return content, answer_of(found)
