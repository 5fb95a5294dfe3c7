"""all-MiniLM-L6-v2 on the CPU. Each text is computed alone, so its vector never depends on its companions."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from promedical_curation.embedding.encoder import Vectors, normalised
from promedical_curation.embedding.weights import MODEL, TOKENIZER, weights_folder

DIMENSIONS: Final = 384
_MOST_TOKENS: Final = 256
"""What the model was made for; a longer text is cut."""


class MiniLM:
    """The model, loaded once; it may be used by several threads.

    Args:
        folder: Where the weights are; None to fetch them into the cache.
        threads: How many texts are computed at once; None for one per core.
    """

    def __init__(self, folder: Path | None = None, *, threads: int | None = None) -> None:
        folder = folder or weights_folder()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the texts are what runs in parallel
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(folder / MODEL, options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MOST_TOKENS)
        self._threads = threads or os.cpu_count() or 1

    @property
    def name(self) -> str:
        """What the vectors come from."""
        return "all-MiniLM-L6-v2, int8 weights"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One vector of length 1 per text."""
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)

        def fill(place: int) -> None:
            vectors[place] = self._mean(texts[place])

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(fill, range(len(texts)), chunksize=16):
                pass
        return normalised(vectors)

    def _mean(self, text: str) -> Vectors:
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (states,) = self._session.run(None, given)
        return np.asarray(states[0].mean(axis=0), dtype=np.float32)
