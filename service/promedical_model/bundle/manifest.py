"""`promedical.json`: what a bundle says about itself. Parsed strictly, since a wrong template scores nonsense."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from promedical_data.files import whole_file
from promedical_model.calibration import CELL_NAMES, NO_OTHER_FIELDS, Calibration, PlattCell, is_cell_name
from promedical_model.rendering.template import Template

MANIFEST_FILE: Final = "promedical.json"
FORMAT_VERSION: Final = 1

Family = Literal["llama", "qwen3"]
Status = Literal["trained", "untrained", "fake"]


class BundleError(Exception):
    """A bundle cannot be used. The message names the file or setting, what was expected and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class YesNoHead:
    """The head of a causal language model: the output row of one word minus that of the other."""

    __pydantic_config__ = NO_OTHER_FIELDS

    kind: Literal["yes_no"] = "yes_no"
    yes: str = "Yes"
    no: str = "No"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierHead:
    """The `score` layer of a sequence classification model with one label, without bias."""

    __pydantic_config__ = NO_OTHER_FIELDS

    kind: Literal["classifier"] = "classifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorHead:
    """A vector called `head`, shape (hidden size,), in a safetensors file of the bundle."""

    __pydantic_config__ = NO_OTHER_FIELDS

    file: str
    kind: Literal["tensor"] = "tensor"

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file or not self.file.endswith(".safetensors"):
            raise ValueError(f"file {self.file!r}: expected the name of a .safetensors file in the bundle's folder")


Head = YesNoHead | ClassifierHead | TensorHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything about a bundle that is not weights or tokenizer.

    Attributes:
        name: The model's name.
        family: Architecture of the decoder.
        status: "trained", or "untrained" for a zero-shot judge.
        licence: The licence of the weights.
        description: One sentence, with what it was trained on.
        template: How prompt, response and criterion become text.
        head: Where the score head comes from.
        base: None if the weights are in the bundle; else what the bundle's LoRA adapter stands on:
            "smollm2-135m-instruct", a hub id, or a path relative to the bundle.
        base_revision: Content hash of that base, checked when it is loaded.
        max_path_tokens: The longest path of prompt, response and criterion that the model reads.
        calibration: Platt cells; none means identity.
        format_version: The version of this file's format.
    """

    __pydantic_config__ = NO_OTHER_FIELDS

    name: str
    family: Family
    status: Status
    licence: str
    description: str
    template: Template
    head: Annotated[Head, Field(discriminator="kind")]
    max_path_tokens: int
    base: str | None = None
    base_revision: str | None = None
    calibration: dict[str, PlattCell] = field(default_factory=dict)
    format_version: Literal[1] = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.max_path_tokens < 1:
            raise ValueError(f"max_path_tokens is {self.max_path_tokens}: expected at least 1")
        if self.base is not None and self.base_revision is None:
            raise ValueError("base_revision is missing; an adapter is only right on the base it was trained on")
        unknown = sorted(name for name in self.calibration if not is_cell_name(name))
        if unknown:
            expected = f"{', '.join(sorted(CELL_NAMES))}, or wording/ and the hash of a criterion"
            raise ValueError(f"calibration has a cell {unknown[0]!r}; expected any of {expected}")

    @property
    def calibrated(self) -> Calibration:
        """The calibration to judge with."""
        return Calibration(cells=self.calibration)


_ADAPTER: Final[TypeAdapter[Manifest]] = TypeAdapter(Manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest.

    Raises:
        BundleError: It is missing, not JSON, of another format version, or a field is wrong.
    """
    path = folder / MANIFEST_FILE
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); is {folder} a bundle?") from error
    except ValidationError as error:
        raise BundleError(f"{path}: {_first_problem(error)}") from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a bundle's manifest, whole or not at all."""
    with whole_file(folder / MANIFEST_FILE) as stream:
        stream.write(_ADAPTER.dump_json(manifest, indent=2) + b"\n")


def _first_problem(error: ValidationError) -> str:
    problem: Any = error.errors(include_url=False)[0]
    where = ".".join(map(str, problem["loc"])) or "the file"
    return f"{where}: {problem['msg']} (and {error.error_count() - 1} more problems)"
