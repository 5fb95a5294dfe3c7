"""constraints.txt, from which CI installs: every direct dependency stands there, at a version that it allows."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]
PINS = dict(line.split("==") for line in LINES)


def direct() -> Iterator[Requirement]:
    """What our extras ask for; vLLM pins much itself and is installed elsewhere."""
    yield from map(Requirement, PROJECT["dependencies"])
    for extra, wanted in PROJECT["optional-dependencies"].items():
        if extra != "vllm":
            yield from (each for each in map(Requirement, wanted) if each.name != PROJECT["name"])


def test_lock_pins_exact_versions_and_names_no_place() -> None:
    """No address, no local version such as +cpu, no hash: it holds wherever packages and torch's build come from."""
    assert LINES
    assert [line for line in LINES if not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line)] == []


@pytest.mark.parametrize("wanted", list(direct()), ids=str)
def test_lock_satisfies_every_direct_dependency(wanted: Requirement) -> None:
    pin = PINS.get(canonicalize_name(wanted.name))
    assert pin is not None, f"constraints.txt does not pin {wanted}; run `make lock`"
    assert wanted.specifier.contains(pin, prereleases=True), f"constraints.txt has {pin} for {wanted}; run `make lock`"
