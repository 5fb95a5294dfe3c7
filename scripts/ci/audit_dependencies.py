"""`make audit`: checks every package of .venv and of the images' locks against the advisory database, by pip-audit.

If the database cannot be reached, or does not know a single package, nothing is audited, and the last line says so.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

from packaging.version import Version

ROOT: Final = Path(__file__).resolve().parents[2]
TOOL: Final = ROOT / ".venv-sbom" / "bin" / "pip-audit"
LOCKS: Final = ROOT / "scripts" / "images" / "locks"
PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
OURS: Final = "promedical"
UNREACHABLE: Final = re.compile(r"ConnectionError|ConnectTimeout|ReadTimeout|network may be blocking|ServiceError")
"""What pip-audit prints if it gets no answer."""


def main() -> int:
    """Audit; return 1 if a package has a known weakness."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(sorted({*installed(), *of_images()})))
        file.flush()
        options = ["--requirement", file.name, "--no-deps", "--disable-pip", "--progress-spinner", "off"]
        command = [str(TOOL), *options, "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return report(json.loads(done.stdout)["dependencies"])
    except ValueError:
        return report_failure(done.stderr)


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
