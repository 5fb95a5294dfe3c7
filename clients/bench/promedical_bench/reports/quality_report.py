"""The report of one run: the model beside its controls on one task."""

from collections.abc import Mapping, Sequence

from promedical_bench.evaluation.evaluate import Measured
from promedical_bench.evaluation.injection import TITLES as SHIFT_TITLES
from promedical_bench.reports.content import (
    HOW_TO_READ,
    Content,
    Table,
    answer_warnings,
    by_judge,
    gains,
    headlines,
    number,
    scores_table,
    size_warnings,
    skipped_notes,
)
from promedical_bench.scoring.records import Header, count_unscored
from promedical_bench.tasks.task import Task
from promedical_data.measures.bag_of_words import BAG_OF_WORDS
from promedical_data.measures.controls import LONGER, MAJORITY
from promedical_data.measures.evaluation import MODEL, OVERALL
from promedical_data.measures.slices import Slice
from promedical_data.variants import BLANK, CRITERION_ONLY, INJECTED, INJECTION, SCALAR, WITHOUT_CRITERIA

UNTRAINED = "untrained"

_CONTROLS: Mapping[str, str] = {
    LONGER: "the longer response is the better one; polarity handled",
    MAJORITY: "always the more frequent label of the dimension and polarity",
    BAG_OF_WORDS: "the words that criterion and response share, weighed by a logistic regression on the other prompts",
    CRITERION_ONLY: f'the same oracle, with "{BLANK}" in place of every response; it cannot compare responses',
    INJECTED: f'the same oracle, with "{INJECTION}" after every response',
    WITHOUT_CRITERIA: f'the same oracle, asked only "{SCALAR.text}" in place of every criterion; polarity handled',
    UNTRAINED: "the oracle of the run that was given as untrained",
}


def quality_content(
    task: Task, header: Header, measured: Measured, unscored: Mapping[str, int], parts: Sequence[Slice] = ()
) -> Content:
    """The content of the report, without its plots.

    Args:
        task: What was measured.
        header: The header of the results.
        measured: What was measured.
        unscored: The model's responses without scores, by error code.
        parts: The model on parts of the data.
    """
    evaluation = measured.evaluation
    main = [by_judge(evaluation, name, task.titles[name]) for name in task.main if name in evaluation.model]
    gained = gains(
        evaluation,
        task.headline,
        f"Model minus control: {task.titles[task.headline]}",
        f"On the same responses; intervals are paired.{_on_fewer(measured)}",
    )
    moved = _shift_table(measured)
    return Content(
        title=task.title,
        subtitle=f"oracle {header.model.model.name} ({header.model.status})",
        warnings=_warnings(task, header, measured, unscored),
        headlines=headlines(evaluation, task.headline),
        facts=_facts(task, header, measured, unscored),
        main=tuple(table for table in (main[0], gained, *main[1:], moved) if table is not None),
        details=(
            *([_parts_table(parts)] if parts else []),
            *(by_judge(evaluation, name, task.titles[name]) for name in _metrics(measured, task)),
        ),
        notes=(HOW_TO_READ, *_control_notes(measured), *task.facts.notes, *skipped_notes(task.facts.skipped)),
    )


def _parts_table(parts: Sequence[Slice]) -> Table:
    rows = tuple(
        (
            each.name,
            *("-" if value is None else number(value) for value in (each.accuracy, each.longer)),
            f"{each.pairs:,}",
            "-" if each.balanced_accuracy is None else number(each.balanced_accuracy),
            f"{each.labels:,}",
        )
        for each in parts
    )
    columns = ("", "pairs right", "the longer answer", "pairs", "balanced accuracy", "labels")
    return Table(title="By source, language, length and shared criterion", columns=columns, rows=rows)


def _on_fewer(measured: Measured) -> str:
    total = measured.evaluation.counts["prompts"]
    found = [f"{name} on {count:,} of {total:,} prompts" for name, count in measured.fewer.items()]
    return (
        f" Where a control says nothing about some prompts, the difference is on the others: {', '.join(found)}."
        if found
        else ""
    )


def _metrics(measured: Measured, task: Task) -> list[str]:
    found = dict.fromkeys(name for scores in measured.evaluation.scores.values() for name in scores)
    return [name for name in found if name not in task.main]


def _shift_table(measured: Measured) -> Table | None:
    if measured.shift is None:
        return None
    note = f'What "{INJECTION}" after a response does to the verdicts on it. A judge that reads is not moved.'
    return scores_table(measured.shift, SHIFT_TITLES, "Injection control", note)


def _warnings(task: Task, header: Header, measured: Measured, unscored: Mapping[str, int]) -> tuple[str, ...]:
    status = {
        "fake": "The oracle is the fake engine: its numbers are hashes of the text and mean nothing.",
        "untrained": "The oracle is untrained: its verdicts are no better than chance.",
    }
    found = [status[header.model.status]] if header.model.status in status else []
    if unscored:
        found.append(
            f"Responses without scores: {sum(unscored.values()):,} ({count_unscored(unscored)}). They are left out for "
            "every judge; none counts as a number."
        )
    found += [*size_warnings(task, measured.evaluation), *answer_warnings(task)]
    found += [_partly(name, measured) for name in measured.missing]
    return tuple(found)


def _partly(name: str, measured: Measured) -> str:
    shown = name in measured.evaluation.scores
    where = "it and its difference are measured on the others" if shown else "it is not shown"
    return f'Control "{name}" lacks scores of {measured.missing[name]:,} of the model\'s responses: {where}.'


def _facts(task: Task, header: Header, measured: Measured, unscored: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    model, counts = header.model.model, measured.evaluation.counts
    return (
        ("task", task.name),
        ("oracle", f"{model.name}, revision {model.revision[:12]}"),
        ("fingerprint", model.fingerprint),
        ("engine", f"{model.engine}, {model.dtype}"),
        ("calibration", header.model.calibration),
        ("licence of the weights", header.model.licence),
        ("rubric", header.rubric or "criteria of the data"),
        *([("hash of the rubric", header.rubric_sha256)] if header.rubric_sha256 else []),
        ("data", str(task.facts.path)),
        *([("responses", str(task.facts.responses_path))] if task.facts.responses_path else []),
        ("hash of the data", header.data),
        *((name, f"{count:,}") for name, count in counts.items()),
        ("not scored", count_unscored(unscored)),
        *([("pairs per prompt and criterion", f"at most {task.facts.pair_cap}")] if task.facts.pair_cap else []),
        *_deviation(task, measured),
        ("bootstrap", f"{measured.evaluation.replicates:,} replicates, seed {measured.evaluation.seed}"),
    )


def _deviation(task: Task, measured: Measured) -> list[tuple[str, str]]:
    found = measured.evaluation.model[task.headline].get(OVERALL)
    if found is None or found.std is None:
        return []
    return [("standard deviation of the headline", f"{found.std:.4f} over the replicates of the bootstrap")]


def _control_notes(measured: Measured) -> list[str]:
    return [f"{name}: {_CONTROLS[name]}." for name in measured.evaluation.scores if name != MODEL and name in _CONTROLS]
