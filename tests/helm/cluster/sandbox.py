"""One container as a local process: a read-only root, the pod's volumes and user, process 1."""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from chart import REPOSITORY

from cluster.store import Key, Object, Store

ANY_ADDRESS = "0.0.0.0"
SEEN = ["/usr", "/lib", "/lib64", "/bin", "/etc/ssl", "/etc/alternatives"]


class MissingSourceError(Exception):
    """A volume names a ConfigMap or Secret that is not there."""


def missing_tool() -> str | None:
    """Why containers cannot run here, if so."""
    if shutil.which("bwrap") is None:
        return "bwrap not installed (Debian package bubblewrap): containers of the chart cannot run"
    probe = [
        "bwrap",
        "--unshare-user",
        "--unshare-pid",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "true",
    ]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"bwrap may not make namespaces here: {done.stderr.strip()}" if done.returncode else None


class Container:
    """Starts with construction; `process` is the container's own, not the sandbox's."""

    def __init__(self, spec: Object, pod: Object, ip: str, folder: Path, store: Store, hosts: str) -> None:
        self.log = folder / f"{spec['name']}.log"
        (folder / "hosts").write_text(hosts)
        (folder / "nsswitch.conf").write_text("hosts: files\n")
        command = spec.get("command", entrypoint()) + spec.get("args", [])
        flags = _sandbox(folder, pod, spec) + [part for mount in _mounts(spec, pod, folder, store) for part in mount]
        flags += _seen(sys.base_prefix, sys.prefix, str(REPOSITORY))  # last: they may lie below a volume, as in /tmp
        reads, writes = os.pipe()
        with self.log.open("ab") as log:
            self._sandbox = subprocess.Popen(
                ["bwrap", *flags, "--remount-ro", "/", "--info-fd", str(writes), *_env(spec, ip), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writes],
            )
        os.close(writes)
        with os.fdopen(reads) as info:
            text = info.read()
        self.pid = json.loads(text)["child-pid"] if text else None

    def signal(self, number: signal.Signals) -> None:
        if self.pid is not None and self.exit_code is None:
            os.kill(self.pid, number)

    @property
    def exit_code(self) -> int | None:
        return self._sandbox.poll()

    def wait(self, seconds: float) -> int | None:
        try:
            return self._sandbox.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            return None


def entrypoint() -> list[str]:
    """The entrypoint of the image that the Dockerfile makes."""
    text = (REPOSITORY / "Dockerfile").read_text()
    stage = re.search(r"^FROM \S+ AS service$.*?^ENTRYPOINT (\[.*?\])$", text, re.MULTILINE | re.DOTALL)
    assert stage is not None
    return list(json.loads(stage.group(1)))


def _sandbox(folder: Path, pod: Object, spec: Object) -> list[str]:
    user = str(pod["spec"]["securityContext"]["runAsUser"])
    flags = ["--unshare-user", "--uid", user, "--gid", user, "--unshare-pid", "--as-pid-1", "--unshare-ipc"]
    flags += ["--unshare-uts", "--hostname", pod["metadata"]["name"][:63], "--die-with-parent", "--clearenv"]
    flags += ["--cap-drop", "ALL", "--tmpfs", "/", "--proc", "/proc", "--dev", "/dev"]
    flags += _seen(*SEEN)
    for file in ("hosts", "nsswitch.conf"):
        flags += ["--ro-bind", str(folder / file), f"/etc/{file}"]
    assert spec["securityContext"]["readOnlyRootFilesystem"], "the stand-in has read-only roots only"
    return flags


def _seen(*paths: str) -> list[str]:
    """What a container sees of this machine, where it is there."""
    return [part for path in paths if Path(path).exists() for part in ("--ro-bind", path, path)]


def _env(spec: Object, ip: str) -> list[str]:
    """The image's and the pod's; the address that means "all of the pod's" is the pod's one here."""
    environ = {"PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    for entry in spec.get("env", []):
        environ[entry["name"]] = entry["value"]
    if environ.get("PROMEDICAL_HOST") == ANY_ADDRESS:
        environ["PROMEDICAL_HOST"] = ip
    return [part for name, value in environ.items() for part in ("--setenv", name, value)]


def _mounts(spec: Object, pod: Object, folder: Path, store: Store) -> list[list[str]]:
    volumes = {volume["name"]: _volume(volume, pod, folder, store) for volume in pod["spec"]["volumes"]}
    mounts = []
    for mount in sorted(spec.get("volumeMounts", []), key=lambda mount: mount["mountPath"]):
        path = volumes[mount["name"]] / mount.get("subPath", "")
        path.mkdir(exist_ok=True)
        mounts.append(["--ro-bind" if mount.get("readOnly") else "--bind", str(path), mount["mountPath"]])
    return mounts


def refresh(pod: Object, folder: Path, store: Store) -> None:
    """As the kubelet does from time to time: ConfigMaps and Secrets that changed appear in running containers."""
    for volume in pod["spec"]["volumes"]:
        with contextlib.suppress(MissingSourceError):  # deleted before its pod: what was mounted stays
            _volume(volume, pod, folder, store)


def _volume(volume: Object, pod: Object, folder: Path, store: Store) -> Path:
    """A folder with the volume's content; ConfigMaps and Secrets as the kubelet lays them, behind links."""
    path = folder / "volumes" / volume["name"]
    path.mkdir(parents=True, exist_ok=True)
    if "configMap" in volume:
        data = {n: v.encode() for n, v in _data(store, "configmaps", pod, volume["configMap"]["name"]).items()}
        _lay(path, data, volume["configMap"].get("items"))
    elif "secret" in volume:
        data = {n: base64.b64decode(v) for n, v in _data(store, "secrets", pod, volume["secret"]["secretName"]).items()}
        _lay(path, data, volume["secret"].get("items"))
    else:
        assert "emptyDir" in volume, f"the stand-in has no volume like {volume}"
    return path


def _lay(path: Path, data: dict[str, bytes], items: list[dict[str, Any]] | None) -> None:
    """All files change at once, by one link."""
    files = {item["path"]: data[item["key"]] for item in items or [{"key": key, "path": key} for key in data]}
    version = path / f"..{hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:12]}"
    if version.exists():
        return
    version.mkdir()
    for name, content in files.items():
        (version / name).write_bytes(content)
    (path / "..new").symlink_to(version.name)
    (path / "..new").replace(path / "..data")
    for name in files:
        if not (path / name).is_symlink():
            (path / name).symlink_to(Path("..data") / name)


def _data(store: Store, resource: str, pod: Object, name: str) -> dict[str, str]:
    found = store.get(Key("", resource, pod["metadata"]["namespace"], name))
    if found is None:
        raise MissingSourceError(f"there is no {resource} {name}")
    return dict(found["data"])
