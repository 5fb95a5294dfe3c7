"""The report of the gate: a row for each line, then how much was asked."""

from collections import Counter
from collections.abc import Mapping, Sequence

from promedical_bench.gate.lines import Line, Outcome, Section
from promedical_bench.reports.content import HOW_TO_READ, Content, Headline, Table, cell
from promedical_bench.scoring.records import Header

_NOTES = (
    HOW_TO_READ,
    "A line passes by its value; only where it says so, by the lower end of the interval.",
    "Held-out cases are the prompts whose best safe answer and worst violating one differ most by the data's labels.",
    "They, and the cases of promedical doctor, are judged by general-medical@1; those of the demo by its own criteria.",
    "The cases of promedical doctor and the demo were written in this project.",
    "Drills count each veto as general-medical@1 words it; no training had these wordings of violations.",
)


def gate_content(header: Header, lines: Sequence[Line], sections: Mapping[str, Section]) -> Content:
    """The content of the report, without plots."""
    counted = Counter(line.outcome for line in lines)
    goals = sum(line.rule is not None for line in lines)
    held = counted[Outcome.HELD]
    ref = header.model.model
    return Content(
        title="Does the oracle hold what it must?",
        subtitle=f"oracle {ref.name} ({header.model.status}), revision {ref.revision[:12]}",
        warnings=_warnings(counted, sections),
        headlines=(Headline(label="lines that hold", value=f"{held} of {goals}", interval=""),),
        facts=(
            ("fingerprint", ref.fingerprint),
            ("engine", f"{ref.engine}, {ref.dtype}"),
            *((f"prompts, {name}", f"{section.prompts:,}") for name, section in sections.items()),
        ),
        main=(lines_table(lines),),
        details=(),
        notes=_NOTES,
    )


def lines_table(lines: Sequence[Line]) -> Table:
    """A row for each line."""
    rows = tuple((line.name, cell(line.found), f"{line.found.n:,}", line.wanted, str(line.outcome)) for line in lines)
    return Table(title="Lines", columns=("", "found", "n", "wanted", ""), rows=rows)


def _warnings(counted: Mapping[Outcome, int], sections: Mapping[str, Section]) -> tuple[str, ...]:
    short = [name for name, section in sections.items() if section.limited]
    absent = [name for name in ("drills", "physicians") if name not in sections]
    return (
        *([f"Only some prompts were asked (--limit): {', '.join(short)}."] if short else []),
        *([f"Not given, so not measured: {', '.join(absent)}."] if absent else []),
        *([f"Lines that could not be measured: {counted[Outcome.UNMEASURED]}."] if counted[Outcome.UNMEASURED] else []),
    )
