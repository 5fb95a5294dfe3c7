"""Generated parts about curation: the sources with their licences, what the screens drop, and dedup in figures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from promedical_curation.sources.catalog import SOURCES
from scripts.docs.tables import cell, table

RESULTS: Final = Path(__file__).resolve().parents[2] / "docs" / "results"
REASONS: Final = ("empty", "corrupted", "personal_data", "language", "not_a_question")
STEPS: Final = {
    "normalise": "normalise and SHA-256",
    "near": "MinHash and Jaccard",
    "vectors": "vectors (MiniLM)",
    "meaning": "vectors compared, inverted file",
    "meaning_exact": "vectors compared, all pairs",
    "guard": "guard",
    "components": "components and medoids",
}


def source_table() -> str:
    """Every source that has a reader of its own."""
    rows = [
        f"| `{source.name}` | [{source.title}]({source.url}), {cell(source.credit)} | {source.licence} "
        f"| {cell(source.expected)} |"
        for source in SOURCES
    ]
    return table("| name | data set | licence | files |", rows)


def screen_table() -> str:
    """What the screens drop from each source."""
    measured = _read("screens.json")
    rows = [
        f"| {source} | {found['rows']:,} | {' | '.join(str(found['dropped'].get(reason, 0)) for reason in REASONS)} "
        f"| {found['references_removed']} |"
        for source, found in measured["sources"].items()
    ]
    margin = measured["language"]["margin"]
    near = [
        f"- {entry['lead']} {entry['language']}, {'dropped' if entry['lead'] >= margin else 'kept'}: {entry['text']}"
        for entry in measured["language"]["near"]
    ]
    head = f"| source | rows | {' | '.join(f'`{reason}`' for reason in REASONS)} | references removed |"
    return table(head, rows) + "\nNext to the threshold of the language:\n\n" + "\n".join(near) + "\n"


def dedup_quality() -> str:
    """Precision and recall on MedQuAD at some thresholds."""
    measured = _read("dedup.json")
    parts = []
    for name, title in (("as_published", "as published"), ("reworded", "with rewordings")):
        found = measured["medquad"][name]
        rows = [
            f"| {with_guard['cosine']} | {_shares(with_guard)} | {_shares(without)} |"
            for with_guard, without in zip(found["guard"], found["no_guard"], strict=True)
        ]
        head = (
            f"| cosine, {title} | precision | recall | hard negatives | precision, no guard | recall, no guard "
            "| hard negatives, no guard |"
        )
        parts.append(table(head, rows))
    return "\n".join(parts)


def dedup_speed() -> str:
    """Rows a second and memory of each step."""
    measured = _read("dedup.json")
    speed = measured["speed"]
    rows = [
        f"| {title} | {speed['steps'][step]['rows_per_s'] or '-'} | {speed['steps'][step]['peak_mb']:,} |"
        for step, title in STEPS.items()
    ]
    vectors = speed["steps"]["vectors"]["computed_here"]
    note = (
        f"{speed['rows']:,} different questions, {speed['distinct']:,} of them after normalisation; "
        f"{measured['date']}, {measured['machine']}, {measured['versions']}. The machine was shared: its load average "
        f"was {measured['load_before'][0]} at the start and {measured['load_after'][0]} at the end. "
        f"{vectors:,} vectors were computed in this run, which the rate is of. The inverted file found "
        f"{100 * speed['found_by_lists']:.1f} % of the pairs that a comparison of all pairs finds.\n\n"
    )
    return note + table("| step | rows/s | peak memory so far, MB |", rows)


def _shares(point: Mapping[str, Any]) -> str:
    return f"{point['precision']:.3f} | {point['recall']:.3f} | {point['hard_negatives']:,}"


def _read(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return result
