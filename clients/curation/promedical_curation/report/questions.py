"""What the questions are like: how difficult, of which specialty, of which kind."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain

from promedical_curation.report.content import Bar, Line, Table, share
from promedical_curation.report.run_view import RunView
from promedical_curation.stages import category, difficulty


def difficulties(run: RunView) -> Table | None:
    """How many questions have each difficulty; None if it was not asked for."""
    stage = run.stage(difficulty.NAME)
    if stage is None:
        return None
    kept = _counted(note.get("difficulty") for _, note in stage.noted())
    dropped = _counted(note.get("difficulty") for _, note in stage.dropped("too_easy", "too_hard"))
    most = max((kept + dropped).values(), default=0)
    lines = [
        Line(
            cells=(str(level), f"{kept[level]:,}", f"{dropped[level]:,}"),
            bar=Bar(high=(kept[level] + dropped[level]) / max(most, 1)),
        )
        for level in range(difficulty.SCHEMA["properties"]["difficulty"]["maximum"] + 1)
    ]
    keep = stage.setting("keep")
    note = f"The run keeps {keep}." if keep else ""
    return Table(title="Difficulty", columns=("difficulty", "kept", "dropped"), lines=tuple(lines), note=note)


def categories(run: RunView) -> list[Table]:
    """How many questions are of each specialty and kind."""
    stage = run.stage(category.NAME)
    if stage is None:
        return []
    counts: dict[str, Counter[str]] = {"specialty": Counter(), "kind": Counter()}
    for _, note in chain(stage.noted(), stage.dropped(category.OUTSIDE)):
        for name, counted in counts.items():
            if isinstance(note.get(name), str):
                counted[note[name]] += 1
    return [_ranked(f"Questions by {name}", name, counted) for name, counted in counts.items() if counted]


def _ranked(title: str, name: str, counted: Counter[str]) -> Table:
    total, most = counted.total(), max(counted.values())
    lines = [
        Line(cells=(word.replace("_", " "), f"{count:,}", share(count, total)), bar=Bar(high=count / most))
        for word, count in sorted(counted.items(), key=lambda each: (-each[1], each[0]))
    ]
    return Table(title=title, columns=(name, "questions", "share"), lines=tuple(lines))


def _counted(levels: Iterable[object]) -> Counter[int]:
    return Counter(level for level in levels if isinstance(level, int))
