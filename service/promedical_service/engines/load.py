"""From plain values to the parts of an oracle: engine, renderer, calibration, and what the oracle says about itself.

Here is the one `match` over engines. Loading blocks; heavy imports happen here, and only those of the chosen engine.
"""

import hashlib
import importlib.util
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, assert_never

from promedical.messages import Message, ModelRef
from promedical_model.calibration import Calibration
from promedical_model.rendering.prompt import PromptRenderer
from promedical_model.rendering.template import CHATML, Template
from promedical_service.engines.base import BranchFailure, Engine, checked
from promedical_service.engines.fake import FakeEngine, fake_renderer
from promedical_service.engines.vllm.engine import EngineHooks, VllmEngine

if TYPE_CHECKING:
    import torch

    from promedical_model.bundle.bundle import Bundle

EngineKind = Literal["torch", "vllm", "fake"]
Dtype = Literal["auto", "float32", "bfloat16"]

_WARM_UP_WORDS = 64


class WarmUpError(Exception):
    """The model is loaded but does not score."""


class EngineMissingError(Exception):
    """The package of the chosen engine is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedOracle:
    """A model that is ready to score.

    Attributes:
        engine: Scores trees.
        renderer: Makes trees.
        calibration: Turns logits into verdicts.
        ref: Name, revision and fingerprint.
        status: trained, untrained or fake.
        family: The architecture.
        template: The template's name and the start of its hash.
        licence: The licence of the weights.
        description: One sentence about the model.
        tokens_per_s: The speed that the warm-up measured.
    """

    engine: Engine
    renderer: PromptRenderer
    calibration: Calibration
    ref: ModelRef
    status: str
    family: str
    template: str
    licence: str
    description: str
    tokens_per_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Which model, and how it computes.

    Attributes:
        model: The model as the setting names it.
        revision: The revision of a repository on the hub.
        dtype: The precision of the computation.
        threads: The number of CPU threads for torch; None for torch's own choice.
        max_batch_tokens: The most unique tokens of one pass.
        tensor_parallel: The number of GPUs that vLLM splits the model over.
        nodes: The number of nodes with these GPUs, which Ray joins.
    """

    model: str
    revision: str | None
    dtype: Dtype
    threads: int | None
    max_batch_tokens: int
    tensor_parallel: int = 1
    nodes: int = 1


def load_oracle(engine: EngineKind, choice: ModelChoice, hooks: EngineHooks) -> LoadedOracle:
    """Load a model into an engine.

    Raises:
        BundleError: The model cannot be used.
        EngineMissingError: The engine's package is not installed.
    """
    match engine:
        case "torch":
            return _torch_oracle(choice)
        case "vllm":
            return _vllm_oracle(choice, hooks)
        case "fake":
            return _fake_oracle()
        case _:
            assert_never(engine)


async def warmed_up(oracle: LoadedOracle) -> LoadedOracle:
    """Score a small item twice: the first pass initialises kernels, the second measures the speed.

    Raises:
        WarmUpError: The model does not give finite numbers.
    """
    words = " ".join(["warm"] * _WARM_UP_WORDS)
    rendered = oracle.renderer.render([Message(role="user", content=words)], [words, "up"], [words, "up"])
    trees = [tree.tree for tree in rendered.trees]
    for _ in range(2):
        started = time.monotonic()
        scores = await oracle.engine.score(trees)
        seconds = time.monotonic() - started
    branches = [branch for tree in trees for branch in tree.branches]
    results = [checked(branch, result) for branch, result in zip(branches, scores, strict=True)]
    failed = [result for result in results if isinstance(result, BranchFailure)]
    if failed or not trees:
        raise WarmUpError(f"the warm-up failed: {failed[0].reason if failed else 'the model reads too little'}")
    return replace(oracle, tokens_per_s=sum(tree.unique_tokens for tree in trees) / max(seconds, 1e-6))


def _torch_oracle(choice: ModelChoice) -> LoadedOracle:
    import torch  # noqa: PLC0415 - only engines with a model need it

    from promedical_model.bundle.bundle import open_bundle  # noqa: PLC0415
    from promedical_model.loading import load_tree_model  # noqa: PLC0415
    from promedical_model.tree.cpu_linear import use_onednn  # noqa: PLC0415
    from promedical_service.engines.torch_engine import CPU_ROW_TOKENS, TorchEngine  # noqa: PLC0415

    _quieten()
    if choice.threads is not None:
        torch.set_num_threads(choice.threads)
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    bundle = open_bundle(choice.model, choice.revision)
    weights = load_tree_model(bundle, dtype=_precision(choice.dtype), device=device)
    use_onednn(weights.decoder)
    return _oracle_of(
        bundle, TorchEngine(weights, max_row_tokens=choice.max_batch_tokens if on_gpu else CPU_ROW_TOKENS)
    )


def _vllm_oracle(choice: ModelChoice, hooks: EngineHooks) -> LoadedOracle:
    if importlib.util.find_spec("vllm") is None:
        raise EngineMissingError("engine vllm needs the package vllm; run pip install 'promedical[vllm]'")
    import torch  # noqa: PLC0415

    from promedical_model.bundle.bundle import open_bundle  # noqa: PLC0415
    from promedical_model.classifier import classifier_folder  # noqa: PLC0415
    from promedical_service.engines.vllm.core import CoreOptions, launch_core  # noqa: PLC0415

    _quieten()
    bundle = open_bundle(choice.model, choice.revision)
    precision = _precision(choice.dtype)
    options = CoreOptions(
        folder=classifier_folder(bundle, precision),
        dtype=str(precision).removeprefix("torch."),
        tensor_parallel=choice.tensor_parallel,
        nodes=choice.nodes,
        max_path_tokens=bundle.manifest.max_path_tokens,
        on_gpu=torch.cuda.is_available(),
    )
    return _oracle_of(bundle, VllmEngine(lambda: launch_core(options), dtype=options.dtype, hooks=hooks))


def _quieten() -> None:
    import transformers  # noqa: PLC0415

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # the log is for events


def _precision(dtype: Dtype) -> "torch.dtype":
    import torch  # noqa: PLC0415

    if dtype == "auto":
        return torch.bfloat16 if torch.cuda.is_available() else torch.float32
    precision: torch.dtype = getattr(torch, dtype)
    return precision


def _oracle_of(bundle: "Bundle", engine: Engine) -> LoadedOracle:
    manifest = bundle.manifest
    return LoadedOracle(
        engine=engine,
        renderer=bundle.renderer(),
        calibration=manifest.calibrated,
        ref=_ref(manifest.name, bundle.revision, manifest.template, manifest.calibrated, engine),
        status=manifest.status,
        family=manifest.family,
        template=_named_hash(manifest.template.name, manifest.template.sha256),
        licence=manifest.licence,
        description=manifest.description,
    )


def _fake_oracle() -> LoadedOracle:
    engine = FakeEngine()
    calibration = Calibration()
    return LoadedOracle(
        engine=engine,
        renderer=fake_renderer(),
        calibration=calibration,
        ref=_ref("fake", "0" * 64, CHATML, calibration, engine),
        status="fake",
        family="none",
        template=_named_hash(CHATML.name, CHATML.sha256),
        licence="none",
        description="Scores are a hash of the text and mean nothing; for tests and trying things out",
    )


def _ref(name: str, revision: str, template: Template, calibration: Calibration, engine: Engine) -> ModelRef:
    """The fingerprint, which changes with anything that may change a score."""
    parts = [revision, template.sha256, calibration.sha256, engine.kind, engine.dtype]
    fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return ModelRef(name=name, revision=revision, fingerprint=fingerprint, engine=engine.kind, dtype=engine.dtype)


def _named_hash(name: str, sha256: str) -> str:
    return f"{name} {sha256[:12]}"
