"""A container of an image, run by runc as the chart's pods are: no privileges, read-only root, no network at all."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY_WITHIN_S = 240
ENDED_WITHIN_S = 60
USER = 10001


def buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def inspected(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", image))
    return found


def size_mb(image: str) -> float:
    """The size of the root filesystem, unpacked."""
    with rootfs(image) as root:
        du = subprocess.run(["du", "-sm", root], check=True, capture_output=True, text=True)
    return float(du.stdout.split()[0])


@contextmanager
def rootfs(image: str) -> Iterator[str]:
    """Where the image's files are, for the block."""
    working = buildah("from", "--pull-never", image)
    try:
        yield buildah("mount", working)
    finally:
        buildah("rm", working)


class Container:
    """Started, and ready when its image's own healthcheck says so."""

    def __init__(self, folder: Path, root: str, image: str, *flags: str, **environ: str) -> None:
        config = inspected(image)["Docker"]["config"]
        self.name, self.log = f"promedical-{folder.name}-{time.monotonic_ns()}", folder / "log"
        self._healthcheck = config["Healthcheck"]["Test"][1:]
        env = [*config["Env"], *(f"{name}={value}" for name, value in environ.items())]
        spec = _spec(folder, root, [*config["Entrypoint"], *flags], env)
        (folder / "config.json").write_text(json.dumps(spec))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(["runc", "run", "--bundle", folder, self.name], stdout=log, stderr=log)
        self._wait_until_ready()

    def run(self, *command: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        """A command in there, with the image's own environment."""
        return subprocess.run(
            ["runc", "exec", self.name, *command], input=given, capture_output=True, text=True, check=False
        )

    def end(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            subprocess.run(["runc", "delete", "--force", self.name], check=False)
            raise

    def _wait_until_ready(self) -> None:
        ends = time.monotonic() + READY_WITHIN_S
        while self.run(*self._healthcheck).returncode:
            assert self.process.poll() is None, f"it ended:\n{self.log.read_text()}"
            assert time.monotonic() < ends, f"not ready in time:\n{self.log.read_text()}"
            time.sleep(1)


@contextmanager
def container(folder: Path, image: str, *flags: str, **environ: str) -> Iterator[Container]:
    with rootfs(image) as root:
        running = Container(folder, root, image, *flags, **environ)
        try:
            yield running
        finally:
            assert running.end() == 0, running.log.read_text()


def _spec(folder: Path, root: str, args: list[str], env: list[str]) -> dict[str, Any]:
    """runc's own default, which has namespaces for everything, with what Pod Security `restricted` takes away."""
    subprocess.run(["runc", "spec", "--bundle", folder], check=True)
    spec: dict[str, Any] = json.loads((folder / "config.json").read_text())
    spec["root"] = {"path": root, "readonly": True}
    spec["process"] |= {
        "terminal": False,
        "user": {"uid": USER, "gid": USER},
        "args": args,
        "env": env,
        "cwd": "/",
        "capabilities": {},
        "noNewPrivileges": True,
    }
    options = ["nosuid", "nodev", "mode=1777", "size=1g"]
    kept = [mount for mount in spec["mounts"] if mount["destination"] != "/dev/shm"]
    memory = [{"destination": d, "type": "tmpfs", "source": "tmpfs", "options": options} for d in ("/tmp", "/dev/shm")]
    spec["mounts"] = kept + memory
    return spec
