"""A bundle as a plain sequence classifier: the form that other servers of transformers' models load.

The adapter is merged, and the head becomes the `score` layer. It is made once per revision in the user's cache,
completely or not at all.
"""

from pathlib import Path
from typing import Any, Final

import torch

from promedical_model.bundle.bundle import Bundle
from promedical_model.bundle.cache import made_once
from promedical_model.bundle.manifest import ClassifierHead
from promedical_model.loading import CLASSIFIERS, check_weights, load_tree_model

_FORMAT: Final = 1
"""This number is raised when what is written changes."""


def classifier_folder(bundle: Bundle, dtype: torch.dtype) -> Path:
    """A directory with the bundle's weights as a classifier with one label; the bundle's own if it is already one.

    Raises:
        BundleError: The weights cannot be loaded or would not be scored exactly, or the cache cannot be written.
    """
    check_weights(bundle)
    if bundle.manifest.base is None and isinstance(bundle.manifest.head, ClassifierHead):
        return bundle.folder
    name = f"classifier{_FORMAT}-{bundle.revision[:16]}-{str(dtype).removeprefix('torch.')}"
    return made_once(name, lambda folder: _make(bundle, dtype, folder), f"the classifier of {bundle.folder}")


def _make(bundle: Bundle, dtype: torch.dtype, folder: Path) -> None:
    tree = load_tree_model(bundle, dtype=dtype, device=torch.device("cpu"))
    decoder: Any = tree.decoder
    config = decoder.config
    config.num_labels = 1
    config.pad_token_id = 0  # transformers would pool the token before a pad that ends the path
    with torch.device("meta"):
        model = CLASSIFIERS[bundle.manifest.family](config)
    model.model = decoder
    model.score = torch.nn.Linear(tree.head.numel(), 1, bias=False)
    model.score.weight.data = tree.head.data[None, :]
    model.save_pretrained(folder)
