"""`make keep-drills DRILLS=folder`: keeps the manifest of drills in docs/results/drills.json, for docs/training.md.

The manifest says how many drills there are, what they were made from, and what judges who do not read get right.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "drills.json"


def main() -> int:
    """Check and copy; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("drills", type=Path, help="the --output of promedical-train drills")
    folder: Path = parser.parse_args().drills
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        counted = {
            name: manifest[name] for name in ("amount", "sources", "refused", "absent", "apart", "files", "controls")
        }
    except (OSError, ValueError, KeyError) as error:
        print(f"{folder}: is not a folder of promedical-train drills: {error}")
        return 1
    RESULT.write_text(json.dumps(counted, indent=1) + "\n", encoding="utf-8")
    print(f"{RESULT}: kept; now run 'make docs'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
