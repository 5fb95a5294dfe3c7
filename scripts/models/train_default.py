"""`make train-default DATA=... RUN=... MINUTES=150`: train the next default model, in as many sessions as it takes.

The first session makes the drills from DATA/sources; each one resumes the run and ends before its minutes are over.
RUN is all that has to survive between sessions. Where only a file can be kept, --keep FILE holds what resuming needs:
the newest checkpoint, scores and the curve; it is written every half an hour, and read where RUN is missing.
"""

import argparse
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from promedical_data.files import whole_file
from promedical_trainer.rm.learning_curve import CurvePoint, read_curve
from promedical_trainer.runs.checkpoints import checkpoint_state, last_checkpoint

RECIPE: Final = "rm-smollm2-135m-v2"
RESUMABLE: Final = 3
KEEP_EVERY_MINUTES: Final = 30.0
LEAST_MINUTES: Final = 3.0
"""A shorter part would only load the model."""
STARTING_MINUTES: Final = 1.5
"""From the start of a part until it looks at the time, and from there to the end of its last step."""
HELD_OUT: Final = ("dev", "test", "kqa_physicians")


def main() -> int:
    """Train until the time is over or the model is done; return the exit code."""
    options = _options()
    ends = time.monotonic() + 60 * options.minutes
    run: Path = options.run
    _restore(run, options.keep)
    data = _data(options.data, run / "data")
    code = RESUMABLE
    while code == RESUMABLE and (left := (ends - time.monotonic()) / 60) >= LEAST_MINUTES:
        part = left if options.keep is None else min(left, KEEP_EVERY_MINUTES)
        code = _train(data, run / "model", part - STARTING_MINUTES, options)
        _keep(run, options.keep)
    print(_progress(run / "model", code))
    return code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with criteria/ and, for drills, sources/")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run, which must survive sessions")
    parser.add_argument("--minutes", type=float, default=150.0, help="when to stop (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="file that holds what resuming needs, where a folder cannot be kept")
    parser.add_argument("--recipe", default=RECIPE, help="recipe (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], help="a setting, as for promedical-train rm")
    parser.add_argument("--until", default="controls", choices=("dev", "test", "controls"), help="last evaluation")
    options = parser.parse_args()
    if not options.minutes >= LEAST_MINUTES:
        parser.error(f"--minutes is {options.minutes:g}; give {LEAST_MINUTES:g} or more")
    return options


def _data(given: Path, folder: Path) -> Path:
    """A folder with criteria and drills beside each other, as the recipe names them; drills are made once."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "criteria"
    link.unlink(missing_ok=True)
    link.symlink_to((given / "criteria").resolve(), target_is_directory=True)
    drills = folder / "drills"
    if not drills.is_dir():
        apart = [each for split in HELD_OUT if (each := link / f"{split}.jsonl.gz").is_file()]
        command = ["drills", "--sources", str(given / "sources"), "--output", str(drills)]
        _call([*command, *(word for each in apart for word in ("--apart", str(each)))], "make drills")
    return folder


def _train(data: Path, output: Path, minutes: float, options: argparse.Namespace) -> int:
    """One part; other exit codes than "done" and "resume" end everything."""
    command = ["rm", "--recipe", options.recipe, "--data", str(data), "--output", str(output)]
    command += ["--minutes", f"{max(minutes, 0.0):.2f}", "--until", options.until]
    return _call([*command, *(word for each in options.set for word in ("--set", each))], "train", RESUMABLE)


def _call(words: Sequence[str], what: str, *allowed: int) -> int:
    code = subprocess.run([sys.executable, "-m", "promedical_trainer.cli", *words], check=False).returncode
    if code not in {0, *allowed}:
        print(f"train-default: cannot {what}: exit code {code}; see above", file=sys.stderr)
        raise SystemExit(code)
    return code


def _keep(run: Path, path: Path | None) -> None:
    """Write what resuming needs, whole or not at all."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as stream, tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
        for each in _needed(run):
            archive.add(each, arcname=str(each.relative_to(run)))


def _needed(run: Path) -> Iterator[Path]:
    """The drills, and of the model all but older checkpoints and what an evaluation makes again from scores."""
    model = run / "model"
    newest = last_checkpoint(model / "checkpoints")
    kept = (run / "data" / "drills", *(model / name for name in ("recipe.yaml", "lineage.json", "curve.jsonl")))
    found = (*kept, model / "scores", model / "bundle", *([Path(newest)] if newest else []))
    return (each for each in found if each.exists())


def _restore(run: Path, path: Path | None) -> None:
    """Fill a run that is missing from the file."""
    if path is not None and path.is_file() and not (run / "model").exists():
        run.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path) as archive:
            archive.extractall(run, filter="data")
        print(f"{run}: restored from {path}")


def _progress(model: Path, code: int) -> str:
    reached = checkpoint_state(model / "checkpoints")
    said = f"{model}: {reached.steps} steps in {reached.seconds / 60:.0f} minutes of training"
    curve = "".join(f"\n  {line}" for line in map(_shown, read_curve(model / "curve.jsonl")[-5:]))
    then = "done; now run 'make ship-model'" if code == 0 else "run the same command to resume"
    return f"{said}{curve}\n{then}"


def _shown(point: CurvePoint) -> str:
    found = {f"{split} {name}": value for split, each in point.measured.items() for name, value in each.items()}
    return f"step {point.step}: " + ", ".join(
        f"{name} {value:.3f}" for name, value in found.items() if value is not None
    )


if __name__ == "__main__":
    sys.exit(main())
