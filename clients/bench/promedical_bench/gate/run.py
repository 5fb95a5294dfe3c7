"""One run of `promedical-bench gate`: it asks the service about all that the gate needs, measures and writes."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from promedical_bench.answers import Answers
from promedical_bench.asked import Bar, Inquiry, ask_oracle
from promedical_bench.cases import Case
from promedical_bench.gate.cases import demo_cases, doctors_cases, held_out_cases
from promedical_bench.gate.figures import (
    RUBRIC,
    lines_of_cases,
    lines_of_criteria,
    lines_of_demo,
    lines_of_drills,
    lines_of_physicians,
    lines_of_scores,
)
from promedical_bench.gate.lines import Line, Section
from promedical_bench.gate.measured import measured_by_physicians, measured_on_test
from promedical_bench.gate.report import gate_content
from promedical_bench.reports.content import Content
from promedical_bench.reports.writing import claim_folder, write_report
from promedical_bench.scoring.records import Header, Results
from promedical_bench.scoring.runner import Pace
from promedical_bench.tasks.promedical import ProMedical, load
from promedical_bench.tasks.task import shortened
from promedical_client.address import Address
from promedical_data.measures.bootstrap import Bootstrap
from promedical_data.measures.evaluation import estimates
from promedical_data.selection import drawn_prompts
from promedical_data.variants import AS_IS


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRun:
    """What to ask, where, and where to write.

    Attributes:
        address: The address of the service.
        output: The folder of the answers and the report.
        criteria: Labelled answers to report on: the test split.
        drills: The test split of drills, if there is one.
        physicians: Physicians' labels, if there are any.
        evaluation: What a training run measured on test (evaluation.json), which is then not asked again.
        limit: The most prompts of each file, drawn by a hash; None: all.
        pace: How fast to ask.
    """

    address: Address
    output: Path
    criteria: Path
    drills: Path | None = None
    physicians: Path | None = None
    evaluation: Path | None = None
    limit: int | None = None
    pace: Pace


def run_gate(run: GateRun, bar: Bar) -> tuple[Content, tuple[Line, ...]]:
    """Ask what is not answered yet, measure every line and write the report.

    Raises:
        DataError: A file cannot be used.
        PromedicalError: The service cannot be asked; its answers so far are kept.
        ResultsError: The folder holds the results of another oracle or other data.
    """
    cases = _cases(run.criteria)
    claim_folder(run.output)
    asked = {name: _ask(run, name, found, _digest(found), bar) for name, found in cases.items()}
    sections = {"criteria": _criteria(run, bar), "drills": _drills(run, bar), "physicians": _physicians(run, bar)}
    given = {name: section for name, section in sections.items() if section is not None}
    lines = [line for section in given.values() for line in section.lines]
    lines += [line for name, found in cases.items() for line in _of_cases(name, found, asked[name].answers(AS_IS))]
    header = next(iter(asked.values())).header
    content = gate_content(header, lines, given)
    write_report(run.output, content, (), _plain(header, lines, given))
    return content, tuple(lines)


def _criteria(run: GateRun, bar: Bar) -> Section:
    if run.evaluation is not None:
        scores, gains, prompts = measured_on_test(run.evaluation)
        return Section(lines=tuple(lines_of_scores(scores, gains)), prompts=prompts)
    task, answers = _answers(run, "criteria", run.criteria, bar)
    return _section(task, lines_of_criteria(task, answers))


def _drills(run: GateRun, bar: Bar) -> Section | None:
    if run.drills is None:
        return None
    task, answers = _answers(run, "drills", run.drills, bar)
    return _section(task, lines_of_drills(task, answers))


def _physicians(run: GateRun, bar: Bar) -> Section | None:
    if run.physicians is not None:
        task, answers = _answers(run, "physicians", run.physicians, bar)
        return _section(task, lines_of_physicians(estimates(Bootstrap(), task.tallies(answers))))
    measured = None if run.evaluation is None else measured_by_physicians(run.evaluation)
    return None if measured is None else Section(lines=tuple(lines_of_physicians(measured[0])), prompts=measured[1])


def _section(task: ProMedical, lines: Sequence[Line]) -> Section:
    return Section(lines=tuple(lines), prompts=len(task.prompts), limited=task.facts.of_cases is not None)


def _answers(run: GateRun, name: str, path: Path, bar: Bar) -> tuple[ProMedical, Answers]:
    """The task, or a part of it that a hash draws, and what the oracle says."""
    whole = load(path)
    drawn = drawn_prompts(whole.prompts, run.limit)
    task = replace(whole, prompts=drawn, facts=shortened(whole.facts, len(drawn), len(whole.prompts)))
    return task, _ask(run, name, task.cases, task.facts.digest, bar).answers(AS_IS)


def _cases(criteria: Path) -> dict[str, list[Case]]:
    held_out = held_out_cases(load(criteria).prompts)
    return {"held-out cases": held_out, "cases of promedical doctor": doctors_cases(), "demo": demo_cases()}


def _of_cases(name: str, cases: Sequence[Case], answers: Answers) -> list[Line]:
    if name == "demo":
        return lines_of_demo(cases, answers)
    return lines_of_cases(name, cases, answers, goal=name == "held-out cases")


def _ask(run: GateRun, name: str, cases: Sequence[Case], digest: str, bar: Bar) -> Results:
    inquiry = Inquiry(task=f"gate, {name}", cases=cases, path=run.criteria, digest=digest, rubric_id=RUBRIC)
    path = run.output / "answers" / f"{name.replace(' ', '-')}.jsonl"
    return asyncio.run(ask_oracle(inquiry, run.address, path, pace=run.pace, bar=bar))


def _digest(cases: Sequence[Case]) -> str:
    whole = hashlib.sha256()
    for case in cases:
        whole.update(repr((case.id, case.turns, case.responses, case.criteria)).encode())
    return whole.hexdigest()


def _plain(header: Header, lines: Sequence[Line], sections: Mapping[str, Section]) -> dict[str, Any]:
    return {
        "header": header,
        "prompts": {name: section.prompts for name, section in sections.items()},
        "limited": [name for name, section in sections.items() if section.limited],
        "lines": [asdict(line) | {"outcome": line.outcome} for line in lines],
    }
