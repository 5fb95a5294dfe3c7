"""`make image`: builds the container image with buildah, which needs no daemon.

Packages come from the lock of the target and the accelerator, with this machine's settings of pip: they are passed as
a secret, and the folders that they name are mounted read-only. Nothing of either stays in the image. `--base debian`
makes the base from Debian's packages, for machines that reach these but no container registry. What the image holds and
how it was built is then written to dist/images (attest.py).
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scripts.images.attest import Build, attest, default_base, need_root
from scripts.images.pip_settings import pip_config, pip_settings

ROOT: Final = Path(__file__).resolve().parents[2]
DEBIAN_BASE: Final = "localhost/promedical-base:debian"
_SUITE: Final = "bookworm"
_PACKAGES: Final = "python3,python3-venv,ca-certificates,libnuma1"
_LEFT_OUT: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


def main() -> int:
    """Build the base if asked to, then the image, and describe it; a command's error ends the script."""
    options = _options()
    started = datetime.now(UTC)
    _need("buildah")
    need_root()
    base = _debian_base() if options.base == "debian" else options.base
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "pip.conf"
        settings = pip_settings(pip_config())
        with secret.open("w", encoding="utf-8") as file:
            settings.write(file)
        command = ["buildah", "build", "--format", "docker", "--isolation", "chroot", "--layers"]
        command += ["--secret", f"id=pip,src={secret}", "--target", options.target, "--tag", options.tag]
        command += [flag for path in local_paths(settings["global"]) for flag in ("--volume", f"{path}:{path}:ro")]
        arguments = {"LOCK": lock_of(options.target, options.accelerator)} | ({"BASE": base} if base else {})
        command += [flag for name, value in arguments.items() for flag in ("--build-arg", f"{name}={value}")]
        _run(*command, str(ROOT))
    attest(
        options.tag, Build(target=options.target, lock=arguments["LOCK"], base=base or default_base(), started=started)
    )
    return 0


def lock_of(target: str, accelerator: str) -> str:
    """The name of the lock that a target's packages come from; only engines compute on something."""
    if not target.startswith("service-"):
        return target
    return f"{target.removeprefix('service-')}-{accelerator}"


def local_paths(settings: Mapping[str, str]) -> list[str]:
    """Files and folders of this machine that the settings name; for an index its parent, which holds the files."""
    named = ((option, word.removeprefix("file://")) for option, value in settings.items() for word in value.split())
    paths = {Path(word).parent if option.endswith("index-url") else Path(word) for option, word in named}
    return sorted(str(path) for path in paths if path.is_absolute() and path.exists())


def _debian_base() -> str:
    """The base, which is made once; remove it with `buildah rmi` to make it again from newer packages."""
    inspected = subprocess.run(["buildah", "inspect", "--type", "image", DEBIAN_BASE], check=False, capture_output=True)
    if inspected.returncode == 0:
        return DEBIAN_BASE
    _need("mmdebstrap")
    with tempfile.TemporaryDirectory() as folder:
        rootfs = Path(folder) / "rootfs.tar"
        left_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", *left_out, _SUITE, str(rootfs))
        (Path(folder) / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n", encoding="utf-8")
        _run("buildah", "build", "--quiet", "--isolation", "chroot", "--tag", DEBIAN_BASE, folder)
    return DEBIAN_BASE


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise SystemExit(
            f"{program} is not installed; install your system's package, for example with apt-get install {program}"
        )


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with exit code {done.returncode}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tag", default="promedical:dev", help="name of the image")
    parser.add_argument("--base", help="image to build on, or debian (default: the Dockerfile's base)")
    parser.add_argument("--target", choices=["service-torch", "service-vllm", "review"], default="service-torch")
    parser.add_argument("--accelerator", choices=["cuda", "cpu"], default="cuda", help="what torch and vLLM compute on")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
