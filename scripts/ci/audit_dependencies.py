"""`make audit`: checks every package of .venv and of the images' locks against the advisory database, by pip-audit.

If the database cannot be reached, or does not know a single package, nothing is audited, and the last line says so.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import distributions
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).resolve().parents[2]
TOOL: Final = ROOT / ".venv-sbom" / "bin" / "pip-audit"
LOCKS: Final = ROOT / "scripts" / "images" / "locks"
PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
OURS: Final = "promedical"
UNREACHABLE: Final = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|network may be blocking|ServiceError")
"""What pip-audit prints if it gets no answer."""


class NoReportError(Exception):
    """The tool gave no report; the message is what it said instead."""


def main() -> int:
    """Audit; return 1 if a package has a known weakness."""
    try:
        return report([each for lines in rounds([*installed(), *of_images()]) for each in ask(lines)])
    except NoReportError as error:
        return report_failure(str(error))


def rounds(lines: Iterable[str]) -> list[list[str]]:
    """The packages in lists in which each stands once, since pip-audit refuses one with two versions."""
    versions: dict[str, list[str]] = {}
    for line in dict.fromkeys(lines):
        versions.setdefault(canonicalize_name(line.partition("==")[0]), []).append(line)
    return [[line for line in each if line] for each in zip_longest(*versions.values())]


def ask(lines: Sequence[str]) -> list[dict[str, Any]]:
    """What pip-audit says of each package.

    Raises:
        NoReportError: It says nothing of them.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lines))
        file.flush()
        options = ["--requirement", file.name, "--no-deps", "--disable-pip", "--progress-spinner", "off"]
        command = [str(TOOL), *options, "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        dependencies: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        raise NoReportError(done.stderr) from None
    return dependencies


def installed() -> Sequence[str]:
    """Every package but our own. The database does not know local versions, so torch 2.13.0+cpu becomes 2.13.0."""
    found = {each.name: Version(each.version).public for each in distributions() if each.name != OURS}
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def of_images() -> Sequence[str]:
    """Every package of a lock of the images."""
    found = (PINNED.findall(lock.read_text(encoding="utf-8")) for lock in sorted(LOCKS.glob("*.txt")))
    return [f"{name}=={Version(version).public}" for lock in found for name, version in lock]


def report(audited: Sequence[dict[str, Any]]) -> int:
    """Say what was found; return the exit code."""
    known = [each for each in audited if "skip_reason" not in each]
    if not known:
        return skipped(f"the advisory database knows none of {len(audited)} packages, so it cannot be reached")
    weak = [each for each in known if each["vulns"]]
    for each in weak:
        for found in each["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "none yet"
            print(f"{each['name']} {each['version']}: {found['id']}, fixed in {fixed}")
    for each in audited:
        if each not in known:
            print(f"{each['name']}: NOT AUDITED, the advisory database does not know this version")
    print(f"audited {len(known)} packages, {len(weak)} with a known weakness, {len(audited) - len(known)} not audited")
    return 1 if weak else 0


def report_failure(stderr: str) -> int:
    """Say why there is no report; return the exit code."""
    if UNREACHABLE.search(stderr):
        return skipped("the advisory database cannot be reached")
    print(f"pip-audit gave no report:\n{stderr}")
    return 1


def skipped(reason: str) -> int:
    """Say that nothing was audited; the packages are not to blame for a machine without a network."""
    print(f"SKIPPED: no package was audited for known weaknesses: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
