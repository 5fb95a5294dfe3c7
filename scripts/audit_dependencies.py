"""`make audit`: every package of .venv against the advisory database, by pip-audit.

Where the database cannot be reached, or knows not a single package, nothing was audited: that is said by name.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
TOOL: Final = ROOT / ".venv-sbom" / "bin" / "pip-audit"


def main() -> int:
    """Audit; 1 if a package has a known weakness."""
    packages = next((ROOT / ".venv" / "lib").glob("python*/site-packages"))
    command = [str(TOOL), "--path", str(packages), "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ConnectionError" in done.stderr:
        print("SKIPPED audit: the advisory database cannot be reached")
        return 0
    try:
        return report(json.loads(done.stdout)["dependencies"])
    except ValueError:
        print(f"pip-audit gave no report:\n{done.stderr}")
        return 1


def report(audited: Sequence[dict[str, Any]]) -> int:
    """Say what was found; the exit code."""
    known = [each for each in audited if "skip_reason" not in each]
    weak = [each for each in known if each["vulns"]]
    for each in weak:
        for found in each["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "none yet"
            print(f"{each['name']} {each['version']}: {found['id']}, fixed in {fixed}")
    if not known:
        print(f"SKIPPED audit: the advisory database knows none of {len(audited)} packages, so it cannot be reached")
    else:
        print(f"audited {len(known)} packages, {len(weak)} with a known weakness, {len(audited) - len(known)} unknown")
    return 1 if weak else 0


if __name__ == "__main__":
    sys.exit(main())
