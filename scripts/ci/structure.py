"""The structure of the shipped packages in figures: rooms, floors, arrows and circles; sizes of functions and modules.

A room is a module or a folder directly inside a package. An arrow means that something in one room imports something
in another one; floors are the length of the longest chain of arrows. A circle is a set of rooms that reach each other.
`--write` keeps the figures in docs/results/structure.json. The exit code is 1 if a package has a circle.
"""

import argparse
import ast
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import grimp
from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).resolve().parents[2]
RESULT: Final = ROOT / "docs" / "results" / "structure.json"
PACKAGES: Final = {
    "promedical": ROOT / "proto",
    "promedical_data": ROOT / "proto",
    "promedical_client": ROOT / "clients" / "python",
    "promedical_bench": ROOT / "clients" / "bench",
    "promedical_curation": ROOT / "clients" / "curation",
    "promedical_review": ROOT / "clients" / "review",
    "promedical_model": ROOT / "service",
    "promedical_service": ROOT / "service",
    "promedical_trainer": ROOT / "trainer",
}
GENERATED: Final = ("_pb2", "_pb2_grpc")

Arrows = dict[str, set[str]]
"""For each room, the rooms that it imports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One package, seen from its door."""

    rooms: int
    floors: int
    arrows: int
    circles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Lines of code, without the docstrings of functions."""

    functions: int
    function_median: float
    function_p90: float
    function_longest: int
    modules: int
    module_median: float
    module_longest: int


@cache
def import_graph() -> grimp.ImportGraph:
    """Every import between the modules of the shipped packages, including those inside functions."""
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def packages() -> Iterator[str]:
    """Every package, and every folder inside one that holds modules."""
    graph = import_graph()
    yield from sorted(module for module in graph.modules if graph.find_children(module))


def arrows_in(package: str) -> Arrows:
    """Which rooms of a package import which others."""
    graph = import_graph()
    rooms = graph.find_children(package)
    return {
        room: {
            other
            for other in rooms - {room}
            if graph.direct_import_exists(importer=room, imported=other, as_packages=True)
        }
        for room in rooms
    }


def house(package: str) -> House:
    """Rooms, floors, arrows and circles of one package."""
    arrows = arrows_in(package)
    circles = list(circles_of(arrows))
    return House(
        rooms=len(arrows),
        floors=0 if circles else len(floors_of(arrows)),
        arrows=sum(map(len, arrows.values())),
        circles=len(circles),
    )


def floors_of(arrows: Arrows) -> list[tuple[str, ...]]:
    """Rooms by floor, the lowest first; there is no circle."""
    sorter = TopologicalSorter(arrows)
    sorter.prepare()
    floors = []
    while ready := sorter.get_ready():
        floors.append(tuple(sorted(ready)))
        sorter.done(*ready)
    return floors


def circles_of(arrows: Arrows) -> Iterator[tuple[str, ...]]:
    """Circles of rooms, one at a time: the arrows of one are cut before the next one is searched for."""
    left = {room: set(others) for room, others in arrows.items()}
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle = tuple(reversed(error.args[1]))
            yield circle
            for room, other in pairwise(circle):
                left[room].discard(other)
        else:
            return


def modules_of(package: str) -> list[Path]:
    """The files of a package that are not generated."""
    return [path for path in sorted((PACKAGES[package] / package).rglob("*.py")) if not path.stem.endswith(GENERATED)]


def function_lines(module: Path) -> Iterator[int]:
    """How long each function of a module is, without its docstring and its decorators."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = ast.get_docstring(node) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            yield (node.end_lineno or 0) - node.lineno + 1 - docstring


def sizes(package: str) -> Sizes:
    """How long the functions and the modules of a package are."""
    files = modules_of(package)
    functions = [lines for module in files for lines in function_lines(module)]
    modules = [len(module.read_text(encoding="utf-8").splitlines()) for module in files]
    return Sizes(
        functions=len(functions),
        function_median=median(functions),
        function_p90=round(quantiles(functions, n=10)[-1], 1),
        function_longest=max(functions),
        modules=len(modules),
        module_median=median(modules),
        module_longest=max(modules),
    )


def figures() -> dict[str, Any]:
    """All figures, as the JSON file holds them."""
    return {
        "houses": {package: asdict(house(package)) for package in packages()},
        "sizes": {package: asdict(sizes(package)) for package in PACKAGES},
    }


def table(title: str, rows: dict[str, dict[str, Any]]) -> Table:
    """Figures by package, for a terminal."""
    shown = Table(title=title, title_justify="left", box=None)
    shown.add_column("package")
    for heading in next(iter(rows.values())):
        shown.add_column(heading.replace("_", " "), justify="right")
    for name, values in rows.items():
        shown.add_row(name, *(f"{value:g}" for value in values.values()))
    return shown


def main() -> int:
    """Print the figures; name every circle."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {RESULT.relative_to(ROOT)}")
    console, found = Console(), figures()
    for title, rows in found.items():
        console.print(table(title, rows))
    if parser.parse_args().write:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    circles = [circle for package in packages() for circle in circles_of(arrows_in(package))]
    for circle in circles:
        console.print("circle:", " -> ".join(circle))
    return 1 if circles else 0


if __name__ == "__main__":
    sys.exit(main())
