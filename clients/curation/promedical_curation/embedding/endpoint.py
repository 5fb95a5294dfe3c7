"""Any server with `/v1/embeddings` as an encoder."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import openai

from promedical_curation.embedding.encoder import Vectors, normalised
from promedical_curation.errors import CurationError

_BATCH: Final = 64


class EmbeddingEndpoint:
    """An OpenAI-compatible server.

    Args:
        url: Where its API begins, such as `http://localhost:8000/v1`.
        model: The name of the model there.
        api_key: The key; any text if the server asks for none.
        timeout_s: For one call of 64 texts, which is tried again twice.
    """

    def __init__(self, url: str, model: str, *, api_key: str = "none", timeout_s: float = 60) -> None:
        self._client = openai.OpenAI(base_url=url, api_key=api_key, timeout=timeout_s, max_retries=2)
        self._url, self._model = url, model

    @property
    def name(self) -> str:
        """What the vectors come from."""
        return f"{self._model} at {self._url}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One vector of length 1 per text.

        Raises:
            CurationError: The server cannot be reached, refuses, or does not answer with a vector per text.
        """
        batches = [self._batch(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        return normalised(np.concatenate(batches)) if batches else np.zeros((0, 1), dtype=np.float32)

    def _batch(self, texts: Sequence[str]) -> Vectors:
        try:
            answer = self._client.embeddings.create(model=self._model, input=list(texts), encoding_format="float")
            ordered = sorted(answer.data, key=lambda entry: entry.index)
            vectors = np.array([entry.embedding for entry in ordered], dtype=np.float32)
        except openai.OpenAIError as error:
            status = getattr(error, "status_code", None)
            what = f"answered {status}" if status else type(error).__name__
            raise CurationError(
                f"{self._url}: embeddings of model {self._model} failed ({what}); expected an OpenAI-compatible "
                "/v1/embeddings: check the address, the model and the key"
            ) from None
        except (AttributeError, TypeError, ValueError):
            vectors = np.zeros((0, 0), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():  # noqa: PLR2004
            raise CurationError(f"{self._url}: did not answer with one vector of numbers per text")
        return vectors
