"""Generated parts about installing: sizes and neighbours, from the committed results of their make targets."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scripts.docs.tables import table

RESULTS: Final = Path(__file__).resolve().parents[2] / "docs" / "results"
_WITH_TORCH: Final = frozenset({"service", "trainer", "dev"})


def _read(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return read


def install_sizes() -> str:
    """How much disk each extra takes, with each build of torch."""
    measured = _read("install-sizes.json")
    more = measured["cuda"]["more_bytes"]
    cuda = {extra: _gigabytes(size + more) for extra, size in measured["bytes"].items() if extra in _WITH_TORCH}
    rows = [
        f"| {_command(extra)} | {_gigabytes(size)} | {cuda.get(extra, 'the same')} |"
        for extra, size in measured["bytes"].items()
    ]
    note = (
        f"The files that pip installs, with the versions of `constraints.txt` ({measured['machine']}, "
        f"{measured['date']}). Those for CUDA are computed from wheels.\n\n"
    )
    head = f"| install | with torch {measured['torch']} | with torch {measured['cuda']['torch']} for CUDA |"
    return note + table(head, rows)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2g} GB"


def _command(extra: str) -> str:
    return "`pip install .`, the SDK" if extra == "sdk" else f"`pip install '.[{extra}]'`"


def neighbours() -> str:
    """Which framework fits beside which extra, and what stands in the way of the others."""
    measured = _read("neighbours.json")
    frameworks: Mapping[str, Any] = measured["frameworks"]
    extras = list(next(iter(frameworks.values()))["beside"])
    rows = [
        f"| {name} | `{each['requirement']}` | {' | '.join(_answer(each['beside'][extra]) for extra in extras)} |"
        for name, each in frameworks.items()
    ]
    note = (
        f"Resolved on {measured['date']} by uv {measured['uv']} from the metadata of PyPI, for Python "
        f"{measured['python']} on Linux.\n\n"
    )
    return note + table(f"| framework | release | {' | '.join(_title(extra) for extra in extras)} |", rows)


def _title(extra: str) -> str:
    return "SDK" if extra == "sdk" else f"`{extra}`"


def _answer(found: Mapping[str, Any]) -> str:
    if found["fits"]:
        return "yes"
    return "no: " + ", ".join(f"`{each}`" for each in found["because"]) if found["because"] else "no"
