"""Proves that the base install is the light SDK: builds the wheel, installs only it, and looks for heavy packages.

Everything happens in a temporary folder, so neither the checkout nor its virtual environment can help.
"""

import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch", "transformers", "fastapi", "uvicorn", "vllm", "peft", "numpy", "pandas", "filelock",
    "prometheus_client", "pyarrow", "ijson",
)  # fmt: skip
NEEDS_AN_EXTRA = ("promedical_data.measures", "promedical_data.pages", "promedical_data.plain_yaml")
"""What of the labelled data the base install cannot import: it reads and writes, and neither measures nor runs."""
BAD_USAGE = 2
NEED_AN_EXTRA = {
    "service": ["promedical-serve", "--engine", "fake"],
    "trainer": ["promedical-train", "rm", "--recipe", "rm-tiny"],
    "bench": ["promedical-bench", "quality", "--task", "kqa", "--data", "absent", "--output", "out"],
    "data": ["promedical-data", "convert", "absent", "--to", "out.parquet"],
    "curation": ["promedical-curate", "check", "--endpoints", "absent"],
    "review": ["promedical-review", "db", "check", "--database", "sqlite:///absent"],
}
SHIPPED = (
    "promedical/py.typed",
    "promedical/rubrics/general-medical@1.json",
    "promedical/v1/reward_pb2.py",
    "promedical/v1/reward.proto",
    "promedical_client/py.typed",
    "licenses/LICENSE",
)
PROGRAM = f"""
import importlib.util, pathlib, pkgutil
import promedical, promedical_client, promedical_data
from promedical.rubric_files import load_catalog
from promedical.v1 import reward_pb2_grpc, requests, responses

assert load_catalog().find("general-medical"), "the built-in rubric is missing"
for module in pkgutil.walk_packages(promedical_client.__path__, "promedical_client."):
    importlib.import_module(module.name)
for module in pkgutil.walk_packages(promedical_data.__path__, "promedical_data."):
    if not module.name.startswith({NEEDS_AN_EXTRA!r}):
        importlib.import_module(module.name)
from promedical_data.reading import read
from promedical_data.writing import write

row = '{{"id": "p", "prompt": "q", "chosen": "a", "rejected": "b", "criteria": [' \
    '{{"id": "c", "text": "Is right.", "dimension": "proficiency"}}]}}'
pathlib.Path("data.jsonl").write_text(row)
prompts = read(pathlib.Path("data.jsonl")).prompts
write(prompts, pathlib.Path("copy.jsonl.gz"), "pairs")
assert read(pathlib.Path("copy.jsonl.gz")).prompts[0].responses == prompts[0].responses
heavy = [name for name in {HEAVY!r} if importlib.util.find_spec(name)]
assert not heavy, f"the base install pulls in {{heavy}}; move what needs them to an extra"
print("promedical", promedical.__version__, "imports without", *{HEAVY!r})
"""


def main() -> None:
    """Run the proof; a failed step ends it with a non-zero exit status."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wheel = build_wheel(work)
        check_content(wheel)
        bin_folder = install(wheel, work / "venv")
        run([bin_folder / "python", "-I", "-c", PROGRAM], cwd=work)
        run([bin_folder / "promedical", "--help"], cwd=work, quiet=True)
        for extra, (program, *words) in NEED_AN_EXTRA.items():
            check_names_extra(extra, [bin_folder / program, *words], cwd=work)
    print("the base install is slim")


def build_wheel(work: Path) -> Path:
    """Build the wheel of the checkout into `work`."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        work,
        REPOSITORY,
    ]
    run(command, cwd=work)
    return next(work.glob("*.whl"))


def check_content(wheel: Path) -> None:
    """Fail unless the wheel holds every data file that the code reads."""
    names = zipfile.ZipFile(wheel).namelist()
    missing = [wanted for wanted in SHIPPED if not any(name.endswith(wanted) for name in names)]
    if missing:
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}; see [tool.hatch.build] in pyproject.toml")


def check_names_extra(extra: str, command: list[str | Path], *, cwd: Path) -> None:
    """Fail unless a command whose extra is missing says so in one line."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != BAD_USAGE or len(done.stderr.splitlines()) != 1 or f"promedical[{extra}]" not in done.stderr:
        sys.exit(f"{command[0]} without its extra: expected one line that names {extra}, and got\n{done.stderr}")


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel and its base dependencies in a new virtual environment; return its bin folder."""
    venv.create(folder, with_pip=True)
    pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--root-user-action=ignore"]
    run([*pip, wheel], cwd=folder)
    return folder / "bin"


def run(command: list[str | Path], *, cwd: Path, quiet: bool = False) -> None:
    """Run a command outside the checkout, without an inherited import path."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    environment["PIP_CONSTRAINT"] = environment["PIP_BUILD_CONSTRAINT"] = str(REPOSITORY / "constraints.txt")
    output = subprocess.DEVNULL if quiet else None
    done = subprocess.run(command, cwd=cwd, env=environment, stdout=output, check=False)
    if done.returncode:
        sys.exit(f"failed: {' '.join(str(part) for part in command[:5])} ...")


if __name__ == "__main__":
    main()
