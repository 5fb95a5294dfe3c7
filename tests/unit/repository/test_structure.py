"""The shape of the shipped code: short functions, small modules, names that say something."""

import ast
import tomllib
from functools import cache
from pathlib import Path
from statistics import median

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGES = (
    "proto/promedical",
    "proto/promedical_data",
    "clients/python/promedical_client",
    "clients/bench/promedical_bench",
    "clients/curation/promedical_curation",
    "clients/review/promedical_review",
    "service/promedical_model",
    "service/promedical_service",
    "trainer/promedical_trainer",
)
MODULES = sorted(
    path
    for package in PACKAGES
    for path in (REPOSITORY / package).rglob("*.py")
    if not path.stem.endswith(("_pb2", "_pb2_grpc"))
)
MAX_FUNCTION_LINES = 50
MAX_MEDIAN_LINES = 10
MAX_MODULE_LINES = 300
ONLY_DATA = {"proto/promedical/messages.py"}  # one class after another, nothing to split
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}


def name_of(module: Path) -> str:
    return module.relative_to(REPOSITORY).as_posix()


@cache
def tree_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def functions(module: Path) -> dict[str, int]:
    """Lines per function, docstring and decorators left out: what a reader has to hold in mind."""
    nodes = [n for n in ast.walk(tree_of(module)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {f"{name_of(module)}:{node.lineno} {node.name}": code_lines(node) for node in nodes}


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    documented = ast.get_docstring(node) is not None
    docstring = node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0
    return node.end_lineno - node.lineno + 1 - docstring


def test_every_package_is_looked_at():
    for package in PACKAGES:
        assert any(module.is_relative_to(REPOSITORY / package) for module in MODULES), package


def test_functions_are_at_most_50_lines():
    lengths = {name: lines for module in MODULES for name, lines in functions(module).items()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_functions_are_at_the_median_at_most_10_lines():
    lengths = [lines for module in MODULES for lines in functions(module).values()]
    assert median(lengths) <= MAX_MEDIAN_LINES


def test_modules_are_at_most_300_lines():
    lengths = {name_of(module): len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES}
    assert {name for name, lines in lengths.items() if lines > MAX_MODULE_LINES} <= ONLY_DATA


def test_modules_have_a_docstring():
    assert [name_of(module) for module in MODULES if not ast.get_docstring(tree_of(module))] == []


def test_module_names_say_what_is_in_them():
    assert [name_of(module) for module in MODULES if module.stem in NAMES_THAT_SAY_NOTHING] == []


@pytest.mark.parametrize("path", sorted(ONLY_DATA))
def test_module_of_data_has_no_statements_but_definitions(path):
    """The exemption from the line limit holds for data with one-expression methods, not for logic."""
    module = REPOSITORY / path
    assert max(functions(module).values()) <= 25
    branches = (ast.If, ast.For, ast.While, ast.Try, ast.Match)
    assert not any(isinstance(node, branches) for node in ast.walk(tree_of(module)))


def test_every_package_and_the_scripts_are_type_checked_strictly():
    """mypy has no pattern for the modules of tests, so what is strict is a list, and a list can lack one."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    (strict,) = [each["module"] for each in settings["overrides"] if each.get("disallow_untyped_defs")]
    assert {"scripts.*", *(f"{Path(package).name}.*" for package in PACKAGES)} == set(strict)
