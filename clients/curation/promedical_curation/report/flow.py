"""How many rows went where: the funnel by source, why rows were dropped or failed, and whose rows are left."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from promedical_curation.pipeline.row_files import ROWS
from promedical_curation.report.content import Bar, Line, Source, Table, share
from promedical_curation.report.run_view import RunView, StageView
from promedical_curation.sources.catalog import SOURCES

_SHOWN: Final = 10
"""Sources with a column of their own; the others share one."""
_OTHERS: Final = "others"


def funnel(run: RunView) -> Table:
    """Rows that every stage kept, in all and by source."""
    kept = {stage.name: _by_name(stage.sources(ROWS)) for stage in run.stages}
    names = _columns(kept.values())
    most = max((found.total() for found in kept.values()), default=0)
    lines = [_line(stage, kept[stage.name], names, most) for stage in run.stages]
    return Table(
        title="Rows that each stage kept",
        columns=("stage", "in", "kept", "of what came in", *names),
        lines=tuple(lines),
        note="The columns on the right are sources. A bar is the share of the largest number kept.",
    )


def losses(run: RunView) -> Table:
    """Why rows were dropped or failed."""
    lines = [
        Line(
            cells=(stage.name, way, reason, f"{count:,}", share(count, stage.manifest.rows_in)),
            bar=Bar(high=count / max(stage.manifest.rows_in, 1)),
        )
        for stage in run.stages
        for way, found in (("dropped", stage.manifest.dropped), ("failed", stage.manifest.failed))
        for reason, count in sorted(found.items(), key=lambda each: -each[1])
    ]
    columns = ("stage", "what happened", "reason", "rows", "of what came in")
    return Table(title="Rows that were dropped, or failed", columns=columns, lines=tuple(lines))


def licences(run: RunView) -> tuple[Source, ...]:
    """Sources of the rows that the first stage read, each with its licence and whom to name, and how many are left."""
    if not run.stages:
        return ()
    first, last = (stage.sources(ROWS) for stage in (run.stages[0], run.stages[-1]))
    known = {source.name: source for source in SOURCES}
    return tuple(
        Source(
            name=name,
            title=known[name].title if name in known else name,
            licence=licence,
            credit=known[name].credit if name in known else "",
            url=known[name].url if name in known else "",
            rows=f"{last[name, licence]:,} of {first[name, licence]:,}",
        )
        for name, licence in sorted(first)
    )


def _line(stage: StageView, kept: Counter[str], names: Sequence[str], most: int) -> Line:
    others = sum(count for name, count in kept.items() if name not in names)
    numbers = [others if name == _OTHERS and name not in kept else kept[name] for name in names]
    manifest = stage.manifest
    cells = (stage.name, f"{manifest.rows_in:,}", f"{manifest.kept:,}", share(manifest.kept, manifest.rows_in))
    return Line(cells=(*cells, *(f"{number:,}" for number in numbers)), bar=Bar(high=manifest.kept / max(most, 1)))


def _by_name(found: Mapping[tuple[str, str], int]) -> Counter[str]:
    by_name = Counter[str]()
    for (name, _), count in found.items():
        by_name[name] += count
    return by_name


def _columns(kept: Iterable[Counter[str]]) -> list[str]:
    """The sources with the most rows, then one column for all others if there are any."""
    most = Counter[str]()
    for found in kept:
        for name, count in found.items():
            most[name] = max(most[name], count)
    names = sorted(most, key=lambda name: (-most[name], name))
    return names if len(names) <= _SHOWN else [*names[: _SHOWN - 1], _OTHERS]
