"""From a task and what judges answered to numbers with intervals. Asks nobody and writes nothing.

Every judge of one report is measured on the same responses: those that the model scored. A control that lacks one of
them is not shown, and the report says why; nothing is made of what was not scored.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from promedical_bench.answers import Answers, count_scored, covers, restricted
from promedical_bench.quality import agreement
from promedical_bench.quality.bootstrap import Bootstrap
from promedical_bench.quality.evaluation import MODEL, Evaluation, Scores, Tallies, differences, estimates
from promedical_bench.quality.shift import shift
from promedical_bench.tasks.task import Task


class NothingScoredError(ValueError):
    """There is no response with scores, so there is nothing to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a report shows.

    Attributes:
        evaluation: Every judge, the model first.
        shift: What the injection did to the model's verdicts; None where it was not asked.
        missing: Controls that are not shown, with the reason.
    """

    evaluation: Evaluation
    shift: Scores | None
    missing: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "evaluation": self.evaluation.as_dict(),
            "shift": {
                name: {group: asdict(estimate) for group, estimate in found.items()}
                for name, found in (self.shift or {}).items()
            },
            "missing": dict(self.missing),
        }


def measure(
    task: Task, answers: Answers, asked: Mapping[str, Answers], *, injected: Answers | None = None, seed: int = 0
) -> Measured:
    """Measure a model beside its controls.

    Args:
        task: The task.
        answers: The model's.
        asked: Of other judges that were asked, by the name to report them under.
        injected: The model's, to responses that claim to meet the criterion.
        seed: Of the bootstrap.

    Raises:
        NothingScoredError: No response has scores.
    """
    if not count_scored(answers):
        raise NothingScoredError("no response was scored; look at the codes of the errors, fix the cause, ask again")
    missing = {name: _reason(said, answers) for name, said in asked.items() if not covers(said, answers)}
    tallies: dict[str, Tallies] = {MODEL: task.tallies(answers)}
    tallies |= {name: task.tallies(restricted(said, answers)) for name, said in asked.items() if name not in missing}
    tallies |= task.controls(answers)
    evaluation = _evaluation(task, tallies, _counts(task, answers), seed)
    agreeing = estimates(Bootstrap(replicates=agreement.REPLICATES, seed=seed), task.agreement(answers))
    scores = {**evaluation.scores, MODEL: {**evaluation.scores[MODEL], **agreeing}}
    return Measured(
        evaluation=replace(evaluation, scores=scores),
        shift=_shift(task, answers, injected, seed) if injected else None,
        missing=missing,
    )


def compare(task: Task, runs: Mapping[str, Answers], *, seed: int = 0) -> Evaluation:
    """Measure several runs on the responses that all of them scored; differences are from the first, paired.

    Raises:
        NothingScoredError: No response was scored by all.
    """
    common = next(iter(runs.values()))
    for said in runs.values():
        common = restricted(common, said)
    if not count_scored(common):
        raise NothingScoredError("no response was scored by all runs, so there is nothing to compare")
    tallies = {name: task.tallies(restricted(said, common)) for name, said in runs.items()}
    return _evaluation(task, tallies, _counts(task, common), seed, all_metrics=True)


def _evaluation(
    task: Task, tallies: Mapping[str, Tallies], counts: Mapping[str, int], seed: int, *, all_metrics: bool = False
) -> Evaluation:
    bootstrap = Bootstrap(seed=seed)
    first, *others = tallies
    metrics = tuple(tallies[first]) if all_metrics else (task.headline,)
    return Evaluation(
        counts=counts,
        scores={name: estimates(bootstrap, found) for name, found in tallies.items()},
        differences={
            name: estimates(bootstrap, differences(tallies[first], tallies[name], metrics))
            for name in others
            if task.headline in tallies[name]
        },
        pair_cap=task.facts.pair_cap,
        replicates=bootstrap.replicates,
        seed=seed,
    )


def _shift(task: Task, answers: Answers, injected: Answers, seed: int) -> Scores:
    clusters = {case.id: case.cluster for case in task.cases}
    return estimates(Bootstrap(seed=seed), shift(answers, injected, clusters))


def _counts(task: Task, answers: Answers) -> dict[str, int]:
    scored = {case.id: case.cluster for case in task.cases if any(answers.get(case.id, ()))}
    return {
        "prompts": len(set(scored.values())),
        "cases": len(scored),
        "responses": count_scored(answers),
        "verdicts": sum(len(each.verdicts) for said in answers.values() for each in said if each),
    }


def _reason(said: Answers, answers: Answers) -> str:
    wanted = count_scored(answers)
    return f"{wanted - count_scored(restricted(said, answers)):,} of {wanted:,} responses were not scored"
