"""From a task and the answers of judges to numbers with intervals. Nothing here asks a service or writes a file.

A judge, and its difference from the model, is measured on the responses that it and the model both scored; what was
not scored does not count. The report says so if a judge lacks some of the model's responses, or if a control says
nothing about some prompts, as physicians do about prompts that only one of them labelled.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from promedical_bench.answers import Answers, count_scored, restricted
from promedical_bench.evaluation.injection import overtaking, shift
from promedical_bench.tasks.task import Task
from promedical_data.measures import agreement
from promedical_data.measures.bootstrap import Bootstrap
from promedical_data.measures.evaluation import MODEL, Evaluation, Scores, Tallies, differences, estimates
from promedical_data.variants import CRITERION_ONLY


class NothingScoredError(ValueError):
    """No response has scores, so there is nothing to measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a report shows.

    Attributes:
        evaluation: The metrics of every judge, the model first.
        shift: What the injection did to the model's verdicts; None if it was not asked.
        missing: How many responses with the model's scores a control has no scores for, by the control's name; a
            control without any scores is in no table.
        fewer: How many prompts a control has if it has fewer than the model; the difference is on these prompts.
    """

    evaluation: Evaluation
    shift: Scores | None
    missing: Mapping[str, int]
    fewer: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The measurement as plain data for JSON."""
        return {
            "evaluation": self.evaluation.as_dict(),
            "shift": {
                name: {group: asdict(estimate) for group, estimate in found.items()}
                for name, found in (self.shift or {}).items()
            },
            "missing": dict(self.missing),
            "fewer": dict(self.fewer),
        }


def measure(
    task: Task, answers: Answers, asked: Mapping[str, Answers], *, injected: Answers | None = None, seed: int = 0
) -> Measured:
    """Measure a model and its controls.

    Args:
        task: The task.
        answers: The model's answers.
        asked: The answers of other judges that were asked, by the name to report them under.
        injected: The model's answers to responses that claim to meet the criterion.
        seed: The seed of the bootstrap.

    Raises:
        NothingScoredError: No response has scores.
    """
    if not count_scored(answers):
        raise NothingScoredError(
            "no response was scored; look at the error codes, fix the cause and run the command again"
        )
    shared = {name: restricted(said, answers) for name, said in asked.items()}
    wanted = count_scored(answers)
    missing = {name: wanted - count_scored(said) for name, said in shared.items() if count_scored(said) < wanted}
    shown = {name: said for name, said in shared.items() if count_scored(said)}
    tallies: dict[str, Tallies] = {MODEL: task.tallies(answers)}
    tallies |= {name: _told(task, name, task.tallies(said)) for name, said in shown.items()}
    controls = task.controls(answers)
    fewer = _fewer(task, tallies[MODEL], controls)
    tallies |= controls
    baselines = {name: task.tallies(restricted(answers, shown[name])) for name in missing if name in shown}
    baselines |= {name: task.tallies(_on(prompts, task, answers)) for name, prompts in fewer.items()}
    evaluation = _evaluation(task, tallies, _counts(task, answers), seed, baselines=baselines)
    agreeing = estimates(Bootstrap(replicates=agreement.REPLICATES, seed=seed), task.agreement(answers))
    scores = {**evaluation.scores, MODEL: {**evaluation.scores[MODEL], **agreeing}}
    return Measured(
        evaluation=replace(evaluation, scores=scores),
        shift=_shift(task, answers, injected, seed) if injected else None,
        missing=missing,
        fewer={name: len(prompts) for name, prompts in fewer.items()},
    )


def compare(task: Task, runs: Mapping[str, Answers], *, seed: int = 0) -> Evaluation:
    """Measure several runs on the responses that all of them scored; differences are from the first, paired.

    Raises:
        NothingScoredError: No response was scored by all runs.
    """
    common = next(iter(runs.values()))
    for said in runs.values():
        common = restricted(common, said)
    if not count_scored(common):
        raise NothingScoredError("no response was scored by all runs, so there is nothing to compare")
    tallies = {name: task.tallies(restricted(said, common)) for name, said in runs.items()}
    return _evaluation(task, tallies, _counts(task, common), seed, all_metrics=True)


def compare_policies(tasks: Mapping[str, Task], runs: Mapping[str, Answers], *, seed: int = 0) -> Evaluation:
    """Measure several policies on the questions of which each has an answer that was scored; paired by question.

    Args:
        tasks: The task with the answers of each policy, by its name.
        runs: What the oracle said of them.
        seed: The seed of the bootstrap.

    Raises:
        NothingScoredError: There is no such question.
    """
    questions = [_questions(task, runs[name]) for name, task in tasks.items()]
    common = frozenset.intersection(*questions)
    if not common:
        raise NothingScoredError("no question has scored answers of all policies, so there is nothing to compare")
    tallies = {name: task.tallies(_on(common, task, runs[name])) for name, task in tasks.items()}
    first = next(iter(tasks))
    counts = _counts(tasks[first], _on(common, tasks[first], runs[first]))
    return _evaluation(tasks[first], tallies, counts, seed, all_metrics=True)


def _questions(task: Task, answers: Answers) -> frozenset[str]:
    return frozenset(case.cluster for case in task.cases if any(answers.get(case.id, ())))


def _evaluation(
    task: Task,
    tallies: Mapping[str, Tallies],
    counts: Mapping[str, int],
    seed: int,
    *,
    baselines: Mapping[str, Tallies] = MappingProxyType({}),
    all_metrics: bool = False,
) -> Evaluation:
    """Compare judges; `baselines` are the first judge's metrics on the responses or prompts of one that lacks some."""
    bootstrap = Bootstrap(seed=seed)
    first, *others = tallies
    metrics = tuple(tallies[first]) if all_metrics else (task.headline,)
    return Evaluation(
        counts=counts,
        scores={name: estimates(bootstrap, found) for name, found in tallies.items()},
        differences={
            name: estimates(bootstrap, differences(baselines.get(name, tallies[first]), tallies[name], metrics))
            for name in others
            if task.headline in tallies[name]
        },
        pair_cap=task.facts.pair_cap,
        replicates=bootstrap.replicates,
        seed=seed,
    )


def _fewer(task: Task, model: Tallies, controls: Mapping[str, Tallies]) -> dict[str, frozenset[str]]:
    """The headline's prompts, by control, for controls that do not have all of the model's prompts."""
    found = {name: _prompts(tallies, task) for name, tallies in controls.items() if task.headline in tallies}
    return {name: prompts for name, prompts in found.items() if prompts != _prompts(model, task)}


def _prompts(tallies: Tallies, task: Task) -> frozenset[str]:
    return frozenset(prompt for tally in tallies[task.headline].values() for prompt in tally.sums.index)


def _on(prompts: Collection[str], task: Task, answers: Answers) -> Answers:
    """The answers to these prompts."""
    return {case.id: answers[case.id] for case in task.cases if case.cluster in prompts and case.id in answers}


def _told(task: Task, judge: str, tallies: Tallies) -> Tallies:
    """The metrics that a judge can have: without the responses it cannot compare them, so it has no pairs."""
    if judge != CRITERION_ONLY:
        return tallies
    return {name: found for name, found in tallies.items() if name in task.of_one_response}


def _shift(task: Task, answers: Answers, injected: Answers, seed: int) -> Scores:
    clusters = {case.id: case.cluster for case in task.cases}
    moved = shift(answers, injected, clusters) | overtaking(answers, injected, clusters)
    return estimates(Bootstrap(seed=seed), moved)


def _counts(task: Task, answers: Answers) -> dict[str, int]:
    scored = {case.id: case.cluster for case in task.cases if any(answers.get(case.id, ()))}
    return {
        "prompts": len(set(scored.values())),
        "cases": len(scored),
        "responses": count_scored(answers),
        "verdicts": sum(len(each.verdicts) for said in answers.values() for each in said if each),
    }
