"""How judges voted, and how far every two of them agree beyond chance."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from promedical_curation.report.content import Bar, Line, Table, share
from promedical_curation.report.run_view import RunView, StageView
from promedical_data.measures.agreement import gwet_ac1, kappa, raw_agreement

_MET = {True: "met", False: "not met", None: "cannot assess"}


@dataclass(slots=True)
class Tally:
    """Votes of a stage: by judge, and by every two judges how often they gave which two verdicts on one label."""

    votes: dict[str, Counter[bool | None]] = field(default_factory=lambda: defaultdict(Counter))
    unquoted: Counter[str] = field(default_factory=Counter)
    both: dict[tuple[str, str], Counter[tuple[bool, bool]]] = field(default_factory=lambda: defaultdict(Counter))
    unanswered: int = 0

    def add(self, note: Mapping[str, Any]) -> None:
        """Count the votes on one row."""
        self.unanswered += note.get("unanswered", 0)
        by_label: dict[tuple[str, str], dict[str, bool | None]] = defaultdict(dict)
        for vote in note["votes"]:
            self.votes[vote["judge"]][vote["met"]] += 1
            self.unquoted[vote["judge"]] += vote["met"] is None and not vote.get("quoted", True)
            by_label[vote["response"], vote["criterion"]][vote["judge"]] = vote["met"]
        for said in by_label.values():
            for one, other in combinations(sorted(said), 2):
                first, second = said[one], said[other]
                if first is not None and second is not None:
                    self.both[one, other][first, second] += 1


def agreement(run: RunView) -> list[Table]:
    """Tables of every stage that judged."""
    return [table for stage in run.stages for table in _tables(stage)]


def _tables(stage: StageView) -> Iterator[Table]:
    tally = _tally(note for _, note in stage.noted() if isinstance(note.get("votes"), list))
    if not tally.votes:
        return
    note = f"{tally.unanswered:,} calls had no answer. " if tally.unanswered else ""
    yield Table(
        title=f"Votes of the judges ({stage.name})",
        columns=("judge", "votes", *_MET.values(), "without a quote"),
        lines=tuple(_line(judge, tally) for judge in sorted(tally.votes)),
        note=note + "A bar is the share of met. A verdict of met on a passage that the answer lacks cannot assess.",
    )
    if tally.both:
        yield Table(
            title=f"Agreement of the judges ({stage.name})",
            columns=("judges", "labels", "raw agreement", "Cohen's kappa", "Gwet's AC1"),
            lines=tuple(_pair(judges, counts) for judges, counts in sorted(tally.both.items())),
            note="On labels that both could assess. A bar is the raw agreement.",
        )


def _tally(notes: Iterable[Mapping[str, Any]]) -> Tally:
    tally = Tally()
    for note in notes:
        tally.add(note)
    return tally


def _line(judge: str, tally: Tally) -> Line:
    votes = tally.votes[judge]
    shares = [share(votes[met], votes.total()) for met in _MET]
    cells = (judge, f"{votes.total():,}", *shares, f"{tally.unquoted[judge]:,}")
    return Line(cells=cells, bar=Bar(high=votes[True] / votes.total()))


def _pair(judges: tuple[str, str], counts: Counter[tuple[bool, bool]]) -> Line:
    table = np.array([[counts[a, b] for b in (False, True)] for a in (False, True)], dtype=float)
    raw = raw_agreement(table)
    measures = [_number(each) for each in (raw, kappa(table), gwet_ac1(table))]
    return Line(cells=(" and ".join(judges), f"{counts.total():,}", *measures), bar=Bar(high=raw))


def _number(value: float) -> str:
    return "not defined" if np.isnan(value) else f"{value:.3f}"
