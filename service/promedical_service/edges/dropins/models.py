"""`/v1/models`: the list of models in OpenAI's format, which routers and waiting scripts ask for."""

from dataclasses import dataclass

from promedical.messages import ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """The oracle as one model."""

    id: str
    max_model_len: int
    object: str = "model"
    created: int = 0
    owned_by: str = "promedical"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelList:
    """The one model that is served."""

    data: tuple[ListedModel, ...]
    object: str = "list"

    @classmethod
    def of(cls, info: ModelInfo) -> "ModelList":
        """The list for this oracle."""
        return cls(data=(ListedModel(id=info.model.name, max_model_len=info.limits.max_path_tokens),))
