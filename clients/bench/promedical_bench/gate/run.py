"""One run of `promedical-bench gate`: it asks the service about all that the gate needs, measures and writes."""

import asyncio
import hashlib
from collections.abc import Sequence
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
)
from promedical_bench.gate.lines import Line
from promedical_bench.gate.report import gate_content
from promedical_bench.reports.content import Content
from promedical_bench.reports.writing import claim_folder, write_report
from promedical_bench.scoring.records import Results
from promedical_bench.scoring.runner import Pace
from promedical_bench.tasks.promedical import ProMedical, load
from promedical_bench.tasks.task import shortened
from promedical_client.address import Address
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
        limit: The most prompts of each file, drawn by a hash; None: all.
        pace: How fast to ask.
    """

    address: Address
    output: Path
    criteria: Path
    drills: Path | None = None
    physicians: Path | None = None
    limit: int | None = None
    pace: Pace


def run_gate(run: GateRun, bar: Bar) -> tuple[Content, tuple[Line, ...]]:
    """Ask what is not answered yet, measure every line and write the report.

    Raises:
        DataError: A file cannot be used.
        PromedicalError: The service cannot be asked; its answers so far are kept.
        ResultsError: The folder holds the results of another oracle or other data.
    """
    files = {"criteria": run.criteria, "drills": run.drills, "physicians": run.physicians}
    tasks = {name: _read(path, run.limit) for name, path in files.items() if path is not None}
    cases = _cases(run.criteria)
    claim_folder(run.output)
    results = {name: _ask(run, name, task.cases, task.facts.digest, bar) for name, task in tasks.items()}
    lines = [line for name, task in tasks.items() for line in _of_task(name, task, results[name].answers(AS_IS))]
    for name, found in cases.items():
        lines += _of_cases(name, found, _ask(run, name, found, _digest(found), bar).answers(AS_IS))
    header = results["criteria"].header
    content = gate_content(header, lines, tasks)
    prompts = {name: len(task.prompts) for name, task in tasks.items()}
    plain = {"header": header, "limit": run.limit, "prompts": prompts, "lines": [_plain(line) for line in lines]}
    write_report(run.output, content, (), plain)
    return content, tuple(lines)


def _read(path: Path, limit: int | None) -> ProMedical:
    task = load(path)
    drawn = drawn_prompts(task.prompts, limit)
    return replace(task, prompts=drawn, facts=shortened(task.facts, len(drawn), len(task.prompts)))


def _cases(criteria: Path) -> dict[str, list[Case]]:
    held_out = held_out_cases(load(criteria).prompts)
    return {"held-out cases": held_out, "cases of promedical doctor": doctors_cases(), "demo": demo_cases()}


def _of_task(name: str, task: ProMedical, answers: Answers) -> list[Line]:
    match name:
        case "criteria":
            return lines_of_criteria(task, answers)
        case "drills":
            return lines_of_drills(task, answers)
        case _:
            return lines_of_physicians(task, answers)


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


def _plain(line: Line) -> dict[str, Any]:
    return asdict(line) | {"outcome": line.outcome}
