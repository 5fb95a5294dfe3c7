"""From a bundle to a model in memory: only safetensors, only classes of transformers itself, never remote code."""

from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from transformers import (
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
)

from promedical_model.bundle.bundle import Bundle
from promedical_model.bundle.exact_models import check_exact
from promedical_model.bundle.manifest import BundleError, ClassifierHead, Family, TensorHead, YesNoHead
from promedical_model.tree import attention
from promedical_model.tree.tree_model import TreeModel

_ADAPTER_FILE: Final = "adapter_model.safetensors"
_CAUSAL: Final[dict[Family, Any]] = {"llama": LlamaForCausalLM, "qwen3": Qwen3ForCausalLM}
CLASSIFIERS: Final[dict[Family, Any]] = {
    "llama": LlamaForSequenceClassification,
    "qwen3": Qwen3ForSequenceClassification,
}


def load_tree_model(bundle: Bundle, *, dtype: torch.dtype, device: torch.device) -> TreeModel:
    """Load weights, merge a LoRA adapter in fp32, make the head, and move all to the device.

    Raises:
        BundleError: The weights are corrupt or incomplete, or belong to a model that trees do not score exactly.
    """
    attention.register()
    check_weights(bundle)
    source = bundle.weights
    adapted = source is not bundle
    model = _load(source, bundle, torch.float32 if adapted else dtype)
    if adapted:
        model = _merge_adapter(model, bundle.folder)
    head = _head(model, bundle)
    decoder = _cast(model.get_decoder(), dtype)
    return TreeModel(decoder, head).to(device).eval().requires_grad_(requires_grad=False)


def check_weights(bundle: Bundle) -> None:
    """Refuse a model that would not be scored as the bundle says, before anything is loaded.

    Raises:
        BundleError: Trees would not score it exactly, or the weights belong to another family than the manifest says.
    """
    source = bundle.weights
    check_exact(source.config, str(source.folder))
    if source.config["model_type"] != bundle.manifest.family:
        raise BundleError(
            f"{bundle.folder}: the manifest says family {bundle.manifest.family}, "
            f"the weights are {source.config['model_type']}"
        )


def _load(source: Bundle, bundle: Bundle, dtype: torch.dtype) -> Any:
    classes = CLASSIFIERS if isinstance(bundle.manifest.head, ClassifierHead) else _CAUSAL
    extra: dict[str, Any] = {"num_labels": 1} if classes is CLASSIFIERS else {}
    if (source.folder / "adapter_config.json").is_file():
        raise BundleError(
            f"{source.folder}: holds an adapter and whole weights; merge the adapter, or name its base instead"
        )
    try:
        model, report = classes[bundle.manifest.family].from_pretrained(
            source.folder,
            dtype=dtype,
            attn_implementation=attention.TREE_ATTENTION,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported, and refused with their shapes
            **extra,
        )
    except Exception as error:  # a config that makes no sense fails anywhere in transformers, with anything
        raise BundleError(f"{source.folder}: the weights cannot be loaded: {_reason(error)}") from error
    _check_complete(report, source.folder)
    return model


def _reason(error: Exception) -> str:
    plain = isinstance(
        error, OSError | ValueError | RuntimeError | SafetensorError
    )  # the type of any other error alone says little
    return f"{error}" if plain else f"{type(error).__name__}: {error}"


def _check_complete(report: dict[str, Any], folder: Path) -> None:
    """Check that every weight of the model is in the files, and every layer of the files is in the model."""
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        name, found, expected = mismatched[0]
        raise BundleError(f"{folder}: weight {name} has shape {tuple(found)}, the model needs {tuple(expected)}")
    missing = sorted(report["missing_keys"])
    if missing:
        raise BundleError(f"{folder}: {len(missing)} weights are missing, the first is {missing[0]}")
    unread = sorted(key for key in report["unexpected_keys"] if "layers." in key and "inv_freq" not in key)
    if unread:
        raise BundleError(f"{folder}: config.json has no place for {len(unread)} weights, such as {unread[0]}")


def _cast(decoder: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Convert the weights only: the rotary frequencies are a buffer, and would lose positions if they were rounded."""
    for parameter in decoder.parameters():
        parameter.data = parameter.data.to(dtype)
    return decoder


def _merge_adapter(model: Any, folder: Path) -> Any:
    from peft import PeftModel, get_peft_model_state_dict  # noqa: PLC0415 - heavy, and only for adapters

    if not (folder / _ADAPTER_FILE).is_file():
        raise BundleError(f"{folder}: holds no {_ADAPTER_FILE}, which a bundle with a base needs")
    try:
        adapted = PeftModel.from_pretrained(model, str(folder))
        expected = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
        with safe_open(folder / _ADAPTER_FILE, framework="pt") as file:
            unfit = sorted(key for key in expected ^ set(file.keys()) if "lora_" in key)
    except Exception as error:  # the same
        raise BundleError(f"{folder}: the adapter cannot be loaded: {_reason(error)}") from error
    if unfit:
        raise BundleError(f"{folder}: the adapter does not fit its base in {len(unfit)} weights, such as {unfit[0]}")
    return adapted.merge_and_unload()


def _head(model: Any, bundle: Bundle) -> torch.Tensor:
    weight: torch.Tensor
    match bundle.manifest.head:
        case ClassifierHead():
            weight = model.score.weight
        case YesNoHead(yes=yes, no=no):
            rows = model.get_output_embeddings().weight
            weight = rows[_single_token(bundle, yes)].float() - rows[_single_token(bundle, no)].float()
        case TensorHead(file=file):
            weight = _head_file(bundle.folder / file)
    size = model.config.hidden_size
    if weight.numel() != size:
        raise BundleError(f"{bundle.folder}: the score head has shape {tuple(weight.shape)}, expected ({size},)")
    return weight.reshape(int(size))


def _single_token(bundle: Bundle, word: str) -> int:
    try:
        return bundle.encoder.single_token(word)
    except ValueError as error:
        raise BundleError(f"{bundle.folder}: {error}") from error


def _head_file(path: Path) -> torch.Tensor:
    try:
        return load_file(path)["head"]
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: the score head cannot be read: {error}") from error
    except KeyError as error:
        raise BundleError(f'{path}: holds no tensor called "head"') from error
