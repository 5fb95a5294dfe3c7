"""A bundle on disk: weights or an adapter, tokenizer, manifest; found by path, by hub id, or as the default.

A plain transformers directory without a manifest is a bundle too: its manifest is derived from what the
directory says about itself, so that any Llama or Qwen3 model can be tried as a zero-shot judge.
"""

import hashlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from promedical_data.cache import offline
from promedical_data.files import sha256_of
from promedical_model.bundle.default_model import BASE, TRAINED, base_bundle_folder
from promedical_model.bundle.generation_files import GENERATION_FILES
from promedical_model.bundle.manifest import (
    MANIFEST_FILE,
    BundleError,
    ClassifierHead,
    Head,
    Manifest,
    YesNoHead,
    read_manifest,
)
from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.rendering.template import BUILT_IN, DERIVED, Template
from promedical_model.rendering.text_encoder import TextEncoder

DEFAULT: Final = "default"
TOKENIZER_FILE: Final = "tokenizer.json"
_HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_HASHED: Final = (".json", ".safetensors", ".jinja", ".txt", ".model")
_HUB_FILES: Final = ["*.json", "*.safetensors"]


@dataclass(frozen=True)
class Bundle:
    """A bundle that was found and has a valid manifest; its weights are not loaded yet."""

    folder: Path
    manifest: Manifest

    @cached_property
    def revision(self) -> str:
        """Hash of what scores depend on, 64 hex digits: the same content has the same revision anywhere.

        A plain folder, which has no manifest, is hashed with the files that only generation uses.
        """
        unread = GENERATION_FILES if (self.folder / MANIFEST_FILE).is_file() else frozenset()
        files = sorted(path for path in self.folder.iterdir() if path.suffix in _HASHED and path.name not in unread)
        with ThreadPoolExecutor() as pool:
            hashes = dict(zip((path.name for path in files), pool.map(sha256_of, files), strict=True))
        return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's `config.json`; an adapter's base has it, not the adapter."""
        return read_config(self.folder)

    @cached_property
    def weights(self) -> "Bundle":
        """The bundle that holds the whole weights: this one, or an adapter's base.

        Raises:
            BundleError: The base does not exist, or is not the one that the adapter was trained on.
        """
        base = self.manifest.base
        if base is None:
            return self
        relative = self.folder / base
        source = open_bundle(str(relative) if relative.is_dir() else base)
        if self.manifest.base_revision != source.revision:
            raise BundleError(
                f"{self.folder}: its adapter was made for base {base} of revision {self.manifest.base_revision}, "
                f"found {source.revision}"
            )
        return source

    @cached_property
    def encoder(self) -> TextEncoder:
        """The encoder of the bundle's tokenizer, a large file that is read once; an adapter may use its base's.

        Raises:
            BundleError: It is not a tokenizer.
        """
        own = self.folder / TOKENIZER_FILE
        try:
            return TextEncoder.from_file(own if own.is_file() else self.weights.folder / TOKENIZER_FILE)
        except ValueError as error:
            raise BundleError(f"{self.folder}: {error}") from error

    def asked_by(self, template: str) -> "Bundle":
        """The same weights with another built-in template, for training.

        Raises:
            BundleError: There is none of that name.
        """
        for each in BUILT_IN:
            if each.name == template:
                return Bundle(self.folder, replace(self.manifest, template=each))
        names = ", ".join(each.name for each in BUILT_IN)
        raise BundleError(f"template {template}: no such template; expected one of {names}")

    def renderer(self) -> PromptRenderer:
        """A renderer of prompts for the bundle's template.

        Raises:
            BundleError: The tokenizer and the template do not fit each other.
        """
        try:
            return PromptRenderer(self.manifest.template, self.encoder, self.manifest.max_path_tokens)
        except ValueError as error:
            raise BundleError(f"{self.folder}: {error}") from error


def open_bundle(model: str, revision: str | None = None) -> Bundle:
    """Find a bundle.

    Args:
        model: "default", the name of the base that it stands on, a directory, or a hub id such as "org/name".
        revision: Commit or tag, for a hub id.

    Raises:
        BundleError: No bundle is found, or it cannot be used.
    """
    if revision is not None and (model in {DEFAULT, BASE} or Path(model).expanduser().is_dir()):
        raise BundleError(f"revision {revision} is set, but model {model} is not a hub id; leave revision out")
    folder = _find(model, revision)
    if not any(folder.glob("*.safetensors")):
        raise BundleError(f"{folder}: holds no .safetensors file; only safetensors weights are read, convert others")
    manifest = read_manifest(folder) if (folder / MANIFEST_FILE).is_file() else None
    if not (folder / TOKENIZER_FILE).is_file() and (manifest is None or manifest.base is None):
        raise BundleError(f"{folder}: holds no {TOKENIZER_FILE}; save the model's fast tokenizer there")
    if manifest is not None:
        return Bundle(folder, manifest)
    return Bundle(folder, derive_manifest(folder, name=folder.name if model == str(folder) else model))


def derive_manifest(folder: Path, name: str) -> Manifest:
    """Describe a plain transformers directory.

    Raises:
        BundleError: Its architecture or chat markup is not known here.
    """
    config = read_config(folder)
    head = _head_of(config, folder)
    return Manifest(
        name=name,
        family=config.get("model_type", ""),
        status="untrained" if isinstance(head, YesNoHead) else "trained",
        licence="not stated by the bundle; see where the weights came from",
        description="Derived from a plain model directory"
        + (": a zero-shot judge, not trained to score" if isinstance(head, YesNoHead) else ""),
        template=_template_of(folder),
        head=head,
        max_path_tokens=_positions(config, folder),
    )


def read_config(folder: Path) -> dict[str, Any]:
    """A model's `config.json`.

    Raises:
        BundleError: It is missing or not a JSON object.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BundleError(f"{path}: is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise BundleError(f"{path}: expected a JSON object")
    return config


def _find(model: str, revision: str | None) -> Path:
    if model in {DEFAULT, BASE}:
        return TRAINED if model == DEFAULT and TRAINED.is_dir() else base_bundle_folder()
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if _HUB_ID.fullmatch(model):
        return _from_hub(model, revision)
    raise BundleError(
        f'model {model}: no such directory; give a bundle directory, a hub id "org/name", "{DEFAULT}" or "{BASE}"'
    )


def _from_hub(hub_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - heavy, and only for hub ids
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(
            snapshot_download(
                hub_id,
                revision=revision,
                allow_patterns=_HUB_FILES,
                ignore_patterns=["*/*"],
                local_files_only=offline(),
            )
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise BundleError(
            f"model {hub_id}: no such directory here, and the hub did not give it: {type(error).__name__}. "
            "Check the name, the network, HF_TOKEN and PROMEDICAL_OFFLINE, or give a directory"
        ) from error


def _head_of(config: dict[str, Any], folder: Path) -> Head:
    architectures = config.get("architectures")
    architecture = str(architectures[0] if isinstance(architectures, list) and architectures else architectures)
    if architecture.endswith("ForCausalLM"):
        return YesNoHead()
    if architecture.endswith("ForSequenceClassification"):
        return ClassifierHead()
    raise BundleError(
        f"{folder / 'config.json'}: architectures is {architecture!r}; expected ...ForCausalLM or "
        f"...ForSequenceClassification, or write a {MANIFEST_FILE} beside it"
    )


def _positions(config: dict[str, Any], folder: Path) -> int:
    positions = config.get("max_position_embeddings", 2048)
    if not isinstance(positions, int) or positions < 1:
        raise BundleError(
            f"{folder / 'config.json'}: max_position_embeddings is {positions!r}; expected a whole number above 0"
        )
    return positions


def _template_of(folder: Path) -> Template:
    try:
        encoder = TextEncoder.from_file(folder / TOKENIZER_FILE)
    except ValueError as error:
        raise BundleError(f"{folder}: {error}") from error
    for template in DERIVED:
        try:
            PromptRenderer(template, encoder, 1)
        except ValueError:
            continue
        return template
    names = ", ".join(template.name for template in DERIVED)
    raise BundleError(
        f"{folder}: the tokenizer has the special tokens of none of {names}; write a {MANIFEST_FILE} with a template"
    )
