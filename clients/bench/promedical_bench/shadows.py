"""One run of `promedical-bench compare-shadow`: may the candidate of a service take the place of its oracle?"""

from collections.abc import Sequence
from pathlib import Path

from promedical_bench.answers import scored_pairs
from promedical_bench.evaluation.evaluate import NothingScoredError
from promedical_bench.evaluation.moving_over import Check, Limits, MayMove, answer_of, checks
from promedical_bench.evaluation.oracle_change import (
    ADDED,
    ADVANTAGES,
    AGREEMENT,
    LIFTED,
    REVERSED,
    UNSCORED,
    oracle_change,
)
from promedical_bench.reports.content import Content
from promedical_bench.reports.shadow_report import shadow_content
from promedical_bench.reports.writing import write_shadow
from promedical_bench.scoring.shadow_file import ShadowResults, read_shadow
from promedical_data.measures.bootstrap import Bootstrap
from promedical_data.measures.evaluation import Scores, estimates


def compare_shadow(paths: Sequence[Path], output: Path, *, limits: Limits, seed: int) -> tuple[Content, MayMove]:
    """Compare what a service and its candidate said about the same responses, and write the report.

    Returns:
        The report, and whether the candidate may be promoted.

    Raises:
        ResultsError: A file cannot be read, or holds something else than records of one pair of oracles.
        NothingScoredError: No response was scored by both, by the same criteria.
    """
    results = read_shadow(paths)
    change, found = judged(results, limits, Bootstrap(seed=seed))
    content = shadow_content(results, change, found)
    told = {name: getattr(results, name) for name in ("live", "candidate", "outcomes", "errors", "span")}
    write_shadow(output, told, change, found, content)
    return content, answer_of(found)


def judged(results: ShadowResults, limits: Limits, bootstrap: Bootstrap) -> tuple[Scores, tuple[Check, ...]]:
    """What changes, and the limits beside it: those of order if items had several responses, else that of agreement.

    Raises:
        NothingScoredError: No response was scored by both, by the same criteria.
    """
    sizes = _sizes(results)
    if not sizes:
        told = ", ".join(f"{name} {count:,}" for name, count in sorted(results.outcomes.items()))
        raise NothingScoredError(f"no response was scored by both by the same criteria ({told}): nothing to compare")
    measures = {LIFTED, ADDED, UNSCORED}
    measures |= {REVERSED, ADVANTAGES} if max(sizes.values()) > 1 else set()
    measures |= {AGREEMENT} if min(sizes.values()) == 1 else set()
    change = estimates(bootstrap, oracle_change(results.old, results.new, results.cluster))
    return change, checks(change, limits, measures)


def _sizes(results: ShadowResults) -> dict[str, int]:
    """How many responses of each case both scored; cases without any are left out."""
    sizes: dict[str, int] = {}
    for case, _, _ in scored_pairs(results.old, results.new):
        sizes[case] = sizes.get(case, 0) + 1
    return sizes
