"""Reports on the disk: report.md, .json and .html, tables.csv and .tex, each replaced only by a whole new one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import pydantic_core

from promedical_bench.answers import Answers
from promedical_bench.evaluation.evaluate import Measured
from promedical_bench.evaluation.moving_over import Check, answer_of
from promedical_bench.reports.content import Content
from promedical_bench.reports.pages import Plot, as_html, as_markdown
from promedical_bench.reports.plots import forest_plot, shift_plot
from promedical_bench.reports.tables import as_csv, as_latex
from promedical_bench.scoring.records import Header
from promedical_bench.tasks.task import Task, count_silent
from promedical_data.errors import DataError
from promedical_data.files import output_file
from promedical_data.measures.evaluation import Evaluation, Scores
from promedical_data.measures.figures import reliability_plot

_PLOTTED: Final = 2


def claim_folder(folder: Path) -> None:
    """Make a folder and write to it, so that a folder that cannot be used is known before there is something to lose.

    Raises:
        DataError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}") from None


def write_report(folder: Path, content: Content, plots: Sequence[Plot], plain: Mapping[str, Any]) -> None:
    """Write a report; `plain` becomes its JSON.

    Raises:
        DataError: The folder cannot be written.
    """
    claim_folder(folder)
    texts = {
        "report.md": as_markdown(content),
        "report.json": pydantic_core.to_json(plain, indent=2).decode() + "\n",
        "report.html": as_html(content, plots),
        "tables.csv": as_csv(content),
        "tables.tex": as_latex(content),
    }
    for name, text in texts.items():
        with output_file(folder / name) as stream:
            stream.write(text)


def write_quality(
    folder: Path,
    task: Task,
    header: Header,
    measured: Measured,
    content: Content,
    unscored: Mapping[str, int],
    answers: Answers,
) -> None:
    """Write the report of one run.

    Raises:
        DataError: The folder cannot be written.
    """
    plots = _metric_plots(measured.evaluation, task)
    if measured.shift is not None:
        caption = (
            "Every response claims that it meets the criterion; bars and dots away from 0 show what the claim moved."
        )
        plots.append(Plot(title="Injection control", caption=caption, figure=shift_plot(measured.shift)))
    labels = task.labels(answers)
    if labels is not None and len(labels):
        caption = (
            "The share of labels that are met, by the probability that the oracle gave. A calibrated oracle is on the "
            "diagonal."
        )
        plots.append(Plot(title="Calibration", caption=caption, figure=reliability_plot(labels)))
    told: dict[str, Any] = {"unscored": dict(unscored), "empty_answers": count_silent(task)}
    told |= {"unread_answers": task.facts.unread_answers, "unanswered": task.facts.unanswered}
    plain = {"header": header, **told, "of_cases": task.facts.of_cases, **measured.as_dict()}
    write_report(folder, content, plots, plain)


def write_comparison(
    folder: Path,
    task: Task,
    headers: Mapping[str, Header],
    evaluation: Evaluation,
    content: Content,
    unscored: Mapping[str, Mapping[str, int]],
    asked: Mapping[str, Collection[str]],
) -> None:
    """Write the report of several runs; `asked` has the ids of cases by run.

    Raises:
        DataError: The folder cannot be written.
    """
    plain = {
        "headers": dict(headers),
        "asked": {run: len(cases) for run, cases in asked.items()},
        "unscored": dict(unscored),
        "evaluation": evaluation.as_dict(),
    }
    write_report(folder, content, _metric_plots(evaluation, task), plain)


def write_oracles(
    folder: Path, headers: tuple[Header, Header], change: Scores, found: tuple[Check, ...], content: Content
) -> None:
    """Write the report of two oracles.

    Raises:
        DataError: The folder cannot be written.
    """
    _write_change(folder, {"headers": headers}, change, found, content)


def write_shadow(
    folder: Path, told: Mapping[str, Any], change: Scores, found: tuple[Check, ...], content: Content
) -> None:
    """Write the report of a candidate; `told` is what was compared.

    Raises:
        DataError: The folder cannot be written.
    """
    _write_change(folder, told, change, found, content)


def _write_change(
    folder: Path, about: Mapping[str, Any], change: Scores, found: tuple[Check, ...], content: Content
) -> None:
    caption = "How far the new oracle's verdicts are from those of the old one, by dimension; 0 is no change."
    plots = [Plot(title="Verdicts", caption=caption, figure=shift_plot(change))]
    told = [asdict(check) | {"answer": check.answer} for check in found]
    plain = {**about, "checks": told, "answer": answer_of(found), "change": dict(change)}
    write_report(folder, content, plots, plain)


def _metric_plots(evaluation: Evaluation, task: Task) -> list[Plot]:
    """The headline, and the first other main metric, which by group says more."""
    shown = [name for name in task.main if name in evaluation.model][:_PLOTTED]
    return [
        Plot(
            title=task.titles[name],
            caption="Dots are values; lines are 95 % intervals.",
            figure=forest_plot(evaluation, name, chance=task.chance),
        )
        for name in shown
    ]
