"""`make ship-model RUN=...`: makes a finished run of `promedical-train rm` the embedded default.

It copies the run's bundle into the package and its evaluation to docs/results/default-model.json, from which
`make docs` writes the tables of README.md and docs/models.md.

It refuses a run that is not finished, is not an adapter on the named base, or is too large.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Final

from promedical_model.bundle.bundle import Bundle, open_bundle
from promedical_model.bundle.default_model import BASE, TRAINED
from promedical_model.bundle.manifest import BundleError
from promedical_trainer.rm.recipe import RmRecipe, load_rm_recipe

RESULT: Final = Path(__file__).resolve().parents[2] / "docs" / "results" / "default-model.json"
UNLICENSED: Final = "healthbench_srh"
MAX_BYTES: Final = 16 * 2**20


def main() -> int:
    """Check and copy; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the --output of promedical-train rm")
    run: Path = parser.parse_args().run
    try:
        bundle = open_bundle(str(run / "bundle"))
    except BundleError as error:
        print(f"{run}: is not a run of promedical-train rm: {error}")
        return 1
    reason = unfit(run, bundle)
    if reason:
        print(f"{run}: {reason}")
        return 1
    shutil.rmtree(TRAINED, ignore_errors=True)
    shutil.copytree(bundle.folder, TRAINED)
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    RESULT.write_text(json.dumps({"revision": bundle.revision} | evaluation, indent=1) + "\n", encoding="utf-8")
    print(f"{TRAINED}: {bundle.manifest.name}, revision {bundle.revision[:12]}; now run 'make docs'")
    return 0


def unfit(run: Path, bundle: Bundle) -> str | None:
    """Why a run cannot be shipped."""
    size = sum(path.stat().st_size for path in bundle.folder.iterdir())
    if bundle.manifest.base != BASE:
        return f"its base is {bundle.manifest.base}; the default needs {BASE}, which a fresh machine can fetch"
    if not (run / "evaluation.json").is_file() or not (bundle.folder / "README.md").is_file():
        return "is not evaluated yet; run promedical-train to its end"
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    if "untrained" not in evaluation.get("test", {}).get("scores", {}):
        return "is not evaluated to the end; run promedical-train with --until controls"
    if size > MAX_BYTES:
        return f"its bundle has {size / 2**20:.1f} MiB; at most {MAX_BYTES / 2**20:.0f} go into the package"
    return unfit_recipe(load_rm_recipe(str(run / "recipe.yaml")))


def unfit_recipe(recipe: RmRecipe) -> str | None:
    """Why no run of a recipe can be shipped."""
    if recipe.ablations:
        return f"is an ablation: {', '.join(recipe.ablations)}"
    if UNLICENSED not in recipe.data.exclude_sources:
        return f"may have learnt from {UNLICENSED}, which has no licence; add it to data.exclude_sources"
    return None


if __name__ == "__main__":
    sys.exit(main())
