"""What an image holds and how it was built, in files beside it: dist/images/NAME.

`sbom.json` lists its Python packages with their licences, by cyclonedx-py, and those of its Linux distribution
(CycloneDX). `provenance.json` is an in-toto statement with SLSA's provenance: which commit, base and lock it was built
from. It is not signed; `make publish-image` does that.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

ROOT: Final = Path(__file__).resolve().parents[2]
OUT: Final = ROOT / "dist" / "images"
LOCKS: Final = Path(__file__).with_name("locks")
TOOLS: Final = ROOT / ".venv-sbom" / "bin"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"
_SITE_PACKAGES: Final = "opt/promedical/lib/python3.*/site-packages"
_PACKAGE: Final = re.compile(r"^Package: (?P<name>\S+)$.*?^Version: (?P<version>\S+)$", re.MULTILINE | re.DOTALL)
_VALIDATE: Final = (
    "import sys; from cyclonedx.validation.json import JsonStrictValidator as V; from cyclonedx.schema import "
    "SchemaVersion as S; fault = V(S.V1_6).validate_str(sys.stdin.read()); sys.exit(fault and str(fault))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an image was built.

    Attributes:
        target: The target of the Dockerfile.
        lock: The name of the lock that its packages came from.
        base: The image that it stands on.
        started: When the build began.
    """

    target: str
    lock: str
    base: str
    started: datetime


def attest(image: str, build: Build) -> None:
    """Write both files, and say where."""
    folder = folder_of(image)
    folder.mkdir(parents=True, exist_ok=True)
    digest = _digest(image)
    with rootfs(image) as root:
        listed = sbom(root, image, digest)
    _write(folder / "sbom.json", listed)
    told = predicate(replace(build, base=by_digest(build.base)), *commit())
    _write(folder / "provenance.json", statement(image, digest, told))
    print(
        f"{folder.relative_to(ROOT)} says what the image holds ({len(listed['components'])} packages), and its origin"
    )


def need_root() -> None:
    """End the script where an image could be built, and not looked into."""
    if os.geteuid():
        raise SystemExit("an image can be looked into by root only: run `buildah unshare make image`")


def folder_of(image: str) -> Path:
    """Where the files of an image are: named after it, without the registry."""
    return OUT / image.rpartition("/")[2].replace(":", "-")


def default_base() -> str:
    """The base that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return found[1]


def sbom(root: Path, image: str, digest: str) -> dict[str, Any]:
    """The packages below a root filesystem.

    Raises:
        SystemExit: The list is not what CycloneDX allows.
    """
    listed = python_packages(next(root.glob(_SITE_PACKAGES)))
    listed["components"] = [*listed.get("components", []), *linux_packages(root)]
    listed["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}"
    listed["metadata"]["component"] = {"type": "container", "bom-ref": "image", "name": image, "version": digest}
    listed.pop("dependencies", None)  # they have the packages' own root, not the image
    command = [str(TOOLS / "python"), "-c", _VALIDATE]
    done = subprocess.run(command, check=False, input=json.dumps(listed), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the list of packages is not valid CycloneDX: {done.stderr}")
    return listed


def python_packages(site_packages: Path) -> dict[str, Any]:
    """What cyclonedx-py says of the packages in a folder: an environment without packages has them on its path."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        own = next(Path(folder).glob("lib/python3.*/site-packages"))
        (own / "image.pth").write_text(f"{site_packages}\n", encoding="utf-8")
        command = [str(TOOLS / "cyclonedx-py"), "environment", "--spec-version", "1.6", f"{folder}/bin/python"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    listed: dict[str, Any] = json.loads(done.stdout)
    return listed


def linux_packages(root: Path) -> Iterator[dict[str, Any]]:
    """What dpkg says is installed; the base of every image is Debian."""
    status = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    suite = re.search(r"^VERSION_CODENAME=(\w+)$", (root / "etc/os-release").read_text(encoding="utf-8"), re.MULTILINE)
    for entry in status.split("\n\n"):
        found = _PACKAGE.search(entry)
        if found and "Status: install ok installed" in entry:
            where = f"?distro={suite[1]}" if suite else ""
            purl = f"pkg:deb/debian/{quote(found['name'])}@{quote(found['version'])}{where}"
            yield {"type": "library", "bom-ref": purl, "name": found["name"], "version": found["version"], "purl": purl}


def statement(name: str, digest: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """An in-toto statement about an image."""
    kind, _, value = digest.partition(":")
    subject = {"name": name, "digest": {kind: value}}
    return {"_type": STATEMENT, "subject": [subject], "predicateType": PROVENANCE, "predicate": told}


def by_digest(base: str) -> str:
    """A base with its digest, which one that was made here has not in its name."""
    return base if "@" in base else f"{base}@{_digest(base)}"


def predicate(build: Build, revision: str, dirty: bool) -> dict[str, Any]:  # noqa: FBT001 - as `commit` says them
    """SLSA's provenance: what was asked for, what it was made from, who made it and when."""
    lock, recipe = LOCKS / f"{build.lock}.txt", ROOT / "Dockerfile"
    files = [{"name": str(path.relative_to(ROOT)), "digest": {"sha256": _sha256(path)}} for path in (recipe, lock)]
    name, _, digest = build.base.partition("@sha256:")
    base = {"name": name, "digest": {"sha256": digest}}
    source = {"name": "source", "digest": {"gitCommit": revision}, "annotations": {"files differ from it": dirty}}
    return {
        "buildDefinition": {
            "buildType": "https://promedical.invalid/buildah/v1",
            "externalParameters": {"target": build.target, "lock": build.lock, "base": build.base},
            "resolvedDependencies": [source, base, *files],
        },
        "runDetails": {
            "builder": {"id": "https://promedical.invalid/make-image"},
            "metadata": {"startedOn": _time(build.started), "finishedOn": _time(datetime.now(UTC))},
        },
    }


def commit() -> tuple[str, bool]:
    """The commit of the sources, and whether files differ from it."""
    said = (
        subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain"))
    )
    return next(said), bool(next(said))


@contextmanager
def rootfs(image: str) -> Iterator[Path]:
    """Where the image's files are, for the block."""
    working = _buildah("from", "--pull-never", image)
    try:
        yield Path(_buildah("mount", working))
    finally:
        _buildah("rm", working)


def _digest(image: str) -> str:
    return _buildah("inspect", "--type", "image", "--format", "{{.FromImageDigest}}", image)


def _buildah(*arguments: str) -> str:
    return subprocess.run(["buildah", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
