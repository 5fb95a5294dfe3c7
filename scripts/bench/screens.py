"""`make bench-screens`: what the screens drop from the real sources, by reason, what is near the threshold, and speed.

The data are those of PROMEDICAL_DATA. `--write` keeps the figures in docs/results/screens.json. The only screen with a
threshold is that of the language; the questions next to it are shown for MedQuAD, whose licence allows it.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from promedical_curation.rows import Drop, Row
from promedical_curation.screening.language import MARGIN, Languages
from promedical_curation.screening.screens import STAGE, screen
from promedical_curation.sources.catalog import source_named
from promedical_curation.sources.reading import read_sources
from scripts.bench.dedup import FILES, RESULTS, data_folder, peak_mb

SHOWN: Final = 8
NEAR: Final = 4.0
"""How far from the threshold a question may be to be shown."""


def main() -> int:
    """Screen, count, print, and keep the result if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the speed test")
    parser.add_argument("--write", action="store_true", help="keep the result in docs/results")
    options = parser.parse_args()
    rows = read_sources([(source_named(name), data_folder() / file) for name, file in FILES]).rows
    languages = Languages()
    outcomes = list(screen(rows, languages))
    measured = {
        **_speed(rows, languages, options.rows),
        "sources": dict(_by_source(rows, outcomes)),
        "language": {"margin": MARGIN, "near": _near(rows, languages)},
    }
    Console().print_json(json.dumps(measured))
    if options.write:
        path: Path = RESULTS / "screens.json"
        path.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _speed(rows: Sequence[Row], languages: Languages, count: int) -> dict[str, int]:
    """Rows a second over so many rows, the real ones again and again, and the peak of memory."""
    began = time.perf_counter()
    for _ in screen(islice(cycle(rows), count), languages):
        pass
    return {"rows": count, "rows_per_s": round(count / (time.perf_counter() - began)), "peak_mb": peak_mb()}


def _by_source(rows: Sequence[Row], outcomes: Sequence[Row | Drop]) -> Iterator[tuple[str, dict[str, Any]]]:
    read = Counter(row.source for row in rows)
    dropped = Counter((each.row.source, each.reason) for each in outcomes if isinstance(each, Drop))
    cleaned = Counter(each.source for each in outcomes if isinstance(each, Row) and STAGE in each.notes)
    for source, count in read.items():
        reasons = {reason: number for (name, reason), number in sorted(dropped.items()) if name == source}
        yield source, {"rows": count, "dropped": reasons, "references_removed": cleaned[source]}


def _near(rows: Sequence[Row], languages: Languages) -> list[dict[str, Any]]:
    """MedQuAD's questions next to the threshold, the most foreign first."""
    texts = sorted({row.instruction for row in rows if row.source == "medquad"})
    scored = [(*languages.lead(text), text) for text in texts]
    near = sorted((lead, language, text) for language, lead, text in scored if abs(lead - MARGIN) <= NEAR)
    return [{"lead": round(lead, 1), "language": language, "text": text} for lead, language, text in near[::-1][:SHOWN]]


if __name__ == "__main__":
    sys.exit(main())
