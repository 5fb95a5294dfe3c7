"""Generated part about drills, from the committed manifest: counts, sources, and what needs no reading."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scripts.docs.tables import table

DRILLS: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "drills.json"


def drill_tables() -> str:
    """The sources, the files and the controls."""
    if not DRILLS.is_file():
        return "Not made yet: `promedical-train drills`, then `make keep-drills DRILLS=folder`.\n"
    manifest = json.loads(DRILLS.read_text(encoding="utf-8"))
    return "\n".join(
        (_sources(manifest["sources"]), _files(manifest["files"]), _controls(manifest["controls"]["test"]))
    )


def _sources(sources: Mapping[str, Any]) -> str:
    rows = [
        f"| {each['title']} | {each['licence']} | {each['used']} | "
        f"{' / '.join(f'{count:,}' for count in each['drills'].values())} |"
        for each in sources.values()
    ]
    return table("| source | licence | what is used | drills (train / dev / test) |", rows)


def _files(files: Mapping[str, Any]) -> str:
    rows = [
        f"| {name} | {each['prompts']:,} | {each['responses']:,} | {each['labels']:,} | {each['met']:,} |"
        for name, each in files.items()
    ]
    return table("| file | prompts | responses | labels | met |", rows)


def _controls(controls: Mapping[str, Any]) -> str:
    rows = [
        f"| {kind} | {each['pairs']:,} | {each['longer']:.3f} | {each['overlap']:.3f} | {each['words']:.3f} |"
        for kind, each in controls.items()
    ]
    return table("| drill / criterion | pairs | the longer answer | overlap | words |", rows)
