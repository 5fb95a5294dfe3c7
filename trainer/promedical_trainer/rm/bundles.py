"""From a checkpoint to a bundle that the service loads: an adapter on its base, or whole weights with their head."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

from promedical_data.files import whole_folder
from promedical_model.bundle.bundle import TOKENIZER_FILE, Bundle, open_bundle
from promedical_model.bundle.manifest import ClassifierHead, Head, Manifest, TensorHead, read_manifest, write_manifest
from promedical_model.calibration import PlattCell
from promedical_model.loading import CLASSIFIERS
from promedical_trainer.rm.recipe import Adapter, RecipeError, RmRecipe

_HEAD: Final = "head"
_HEAD_FILE: Final = "head.safetensors"
_DECODER: Final = "decoder."
_ADAPTER: Final = torch.float16
"""Half the size of fp32, and what is measured afterwards is what is stored."""


def open_base(recipe: RmRecipe) -> Bundle:
    """The base model of a recipe, with the template that the recipe chooses.

    Raises:
        BundleError: It cannot be loaded, or there is no such template.
    """
    base = open_bundle(recipe.base)
    return base if recipe.template is None else base.asked_by(recipe.template)


def write_bundle(folder: Path, checkpoint: Path, recipe: RmRecipe, base: Bundle) -> None:
    """Write the trained weights, not calibrated yet; the folder appears whole or not at all.

    Args:
        folder: The bundle's folder; one that exists is kept.
        checkpoint: Holds `model.safetensors` with what was trained.
        recipe: Says whether that is an adapter.
        base: The base model.

    Raises:
        RecipeError: A weight is no number, or too large for how adapters are stored.
    """
    if folder.is_dir():
        return
    trained = load_file(checkpoint / "model.safetensors")
    _check_finite(trained, _stored(recipe))
    with whole_folder(folder) as draft:
        if recipe.adapter is None:
            head = _write_classifier(draft, trained, recipe, base)
        else:
            head = _write_adapter(draft, trained, recipe.adapter)
        write_manifest(draft, _manifest(recipe, base, head, folder))


def _stored(recipe: RmRecipe) -> torch.dtype:
    """The dtype in which an adapter or whole weights are stored; the head of an adapter is fp32."""
    if recipe.adapter is not None:
        return _ADAPTER
    return torch.bfloat16 if recipe.optimisation.precision == "bf16" else torch.float32


def _check_finite(trained: Mapping[str, torch.Tensor], stored: torch.dtype) -> None:
    for name, value in trained.items():
        if not value.to(stored).isfinite().all():
            raise RecipeError(
                f"trained weights {name} hold values that {stored} cannot hold; lower optimisation.learning_rate, and "
                "train again in another folder"
            )


def calibrate_bundle(folder: Path, cells: Mapping[str, PlattCell]) -> None:
    """Put a calibration into a bundle's manifest."""
    write_manifest(folder, replace(read_manifest(folder), calibration=dict(cells)))


def _write_adapter(folder: Path, trained: Mapping[str, torch.Tensor], adapter: Adapter) -> Head:
    lora = {_peft_name(name): value.to(_ADAPTER) for name, value in trained.items() if name != _HEAD}
    save_file(lora, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    save_file({_HEAD: trained[_HEAD].float()}, folder / _HEAD_FILE)
    config = adapter.lora().to_dict()  # type: ignore[no-untyped-call]
    # A set has another order in every process; the revision is a hash of this file.
    stable = config | {"target_modules": sorted(adapter.targets), "inference_mode": True}
    text = json.dumps(stable, indent=2, sort_keys=True, default=str)
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
    return TensorHead(file=_HEAD_FILE)


def _peft_name(name: str) -> str:
    """As peft calls it when the adapter stands on a model with an output head."""
    return "base_model.model.model." + name.removeprefix(_DECODER).replace(".default.", ".")


def _write_classifier(folder: Path, trained: Mapping[str, torch.Tensor], recipe: RmRecipe, base: Bundle) -> Head:
    model: Any = CLASSIFIERS[base.manifest.family].from_pretrained(
        base.folder,
        num_labels=1,
        dtype=_stored(recipe),
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
    )
    weights = {"model." + name.removeprefix(_DECODER): value for name, value in trained.items() if name != _HEAD}
    weights["score.weight"] = trained[_HEAD][None, :]
    missing = model.load_state_dict(weights, strict=False)
    if missing.unexpected_keys:
        raise ValueError(
            f"{len(missing.unexpected_keys)} trained tensors have no place, as {missing.unexpected_keys[0]}"
        )
    model.save_pretrained(folder)
    shutil.copy(base.folder / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    return ClassifierHead()


def _manifest(recipe: RmRecipe, base: Bundle, head: Head, folder: Path) -> Manifest:
    adapted = recipe.adapter is not None
    return Manifest(
        name=recipe.bundle_name,
        family=base.manifest.family,
        status="trained",
        licence=recipe.licence,
        description=recipe.summary,
        template=base.manifest.template,
        head=head,
        max_path_tokens=base.manifest.max_path_tokens,
        base=_reference(recipe.base, folder) if adapted else None,
        base_revision=base.revision if adapted else None,
    )


def _reference(base: str, folder: Path) -> str:
    """The base as the bundle names it: a directory relative to it, any other name as it is."""
    return os.path.relpath(Path(base).expanduser().resolve(), folder.resolve()) if Path(base).is_dir() else base
