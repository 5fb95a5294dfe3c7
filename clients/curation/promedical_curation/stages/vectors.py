"""Which encoder stages compare questions by. It is made when a stage needs it: that takes seconds, or a download."""

from collections.abc import Callable
from dataclasses import dataclass

from promedical_curation.asking.endpoints import Endpoint
from promedical_curation.embedding.encoder import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """An encoder to come.

    Attributes:
        name: What the vectors depend on.
        encoder: Makes it.
    """

    name: str
    encoder: Callable[[], Encoder]


def minilm() -> Vectors:
    """The small model on the CPU."""

    def make() -> Encoder:
        from promedical_curation.embedding.minilm import MiniLM  # noqa: PLC0415 - onnxruntime is heavy

        return MiniLM()

    return Vectors(name="all-MiniLM-L6-v2, int8 weights", encoder=make)


def served(endpoint: Endpoint) -> Vectors:
    """A model behind `/v1/embeddings`."""

    def make() -> Encoder:
        from promedical_curation.embedding.endpoint import EmbeddingEndpoint  # noqa: PLC0415 - as above

        key = endpoint.key() or "none"
        return EmbeddingEndpoint(endpoint.base_url, endpoint.model, api_key=key, timeout_s=endpoint.timeout_s)

    return Vectors(name=endpoint.model, encoder=make)
